import type { Sampling } from "../../schema/api/chat.ts";
import { exponential } from "./exponential.ts";
import type { Random } from "./random.ts";

export type SamplerOptions = Pick<Sampling, "temperature" | "top_k" | "top_p" | "min_p">;

/**
 * Draws one token from softmax(logits / temperature), cut to the tokens at least `min_p` times as likely as the most likely one
 * (Nguyen et al. 2024), then to the `top_k` most likely, then to the smallest set whose probability reaches `top_p` (Holtzman et al.
 * 2020). Of equals, the lower id counts as more likely. Temperature 0 takes the most likely token.
 *
 * @param logits [vocab]; only read.
 */
export function sampleToken(logits: Float32Array, options: SamplerOptions, random: Random): number {
  const { temperature, top_k: topK, top_p: topP, min_p: minP } = options;
  const best = argmax(logits);
  const peak = logits[best] ?? 0;
  // Beside an infinite logit nothing else has any probability.
  if (temperature === 0 || !Number.isFinite(peak)) return best;

  const distribution = softmax(logits, peak, temperature);
  if (minP > 0) cut(distribution, minP);
  const { weights, total } = distribution;
  if (topK > 0 && topK < logits.length) {
    const likely = mostLikely(distribution, ({ ids }) => ids.length >= topK).slice(0, topK);
    return draw(nucleus(likely, weights, topP * sum(likely, weights)), weights, random);
  }
  if (topP < 1) {
    const wanted = topP * total;
    const likely = mostLikely(distribution, ({ mass }) => mass >= wanted);
    return draw(nucleus(likely, weights, wanted), weights, random);
  }
  return drawFromAll(weights, random() * total);
}

/** Index of the largest value; the first of equals. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  let peak = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const value = logits[id] ?? Number.NEGATIVE_INFINITY;
    if (value > peak) {
      peak = value;
      best = id;
    }
  }
  return best;
}

/** Reused: sampling is a whole pass over the vocabulary for every token, and a fresh array each time would double its cost. */
let scratch = new Float64Array(0);

/** `weights` are e^((logit − peak) / temperature), so the largest is 1; valid until the next call. `total` is their sum. */
type Distribution = { weights: Float64Array; total: number };

function softmax(logits: Float32Array, peak: number, temperature: number): Distribution {
  if (scratch.length !== logits.length) scratch = new Float64Array(logits.length);
  const inverse = 1 / temperature;
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const weight = exponential(((logits[id] ?? 0) - peak) * inverse);
    scratch[id] = weight;
    total += weight;
  }
  return { weights: scratch, total };
}

/** Takes tokens less likely than `least` times the most likely one out of a distribution. */
function cut(distribution: Distribution, least: number): void {
  const { weights } = distribution;
  distribution.total = 0;
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id] ?? 0;
    if (weight < least) weights[id] = 0;
    else distribution.total += weight;
  }
}

function sum(ids: number[], weights: Float64Array): number {
  return ids.reduce((total, id) => total + (weights[id] ?? 0), 0);
}

type Candidates = { ids: number[]; mass: number };

/** Where the listed tokens have all but this share of the probability, the others are never drawn anyway. */
const TRACE = 1e-12;

/**
 * The ids from the most likely down, as many as `enough` asks for and rarely many more. Looks near the peak first and reaches
 * further down only where needed: sorting a whole vocabulary would cost more than a decoding step.
 */
function mostLikely({ weights, total }: Distribution, enough: (candidates: Candidates) => boolean): number[] {
  for (let floor = 1 / 256; ; floor /= 256) {
    const candidates: Candidates = { ids: [], mass: 0 };
    for (let id = 0; id < weights.length; id++) {
      const weight = weights[id] ?? 0;
      if (weight < floor) continue;
      candidates.ids.push(id);
      candidates.mass += weight;
    }
    if (candidates.mass >= total * (1 - TRACE) || enough(candidates)) {
      return candidates.ids.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
    }
  }
}

/** The shortest prefix of `ids` whose weights reach `mass`, at least one. */
function nucleus(ids: number[], weights: Float64Array, mass: number): number[] {
  let total = 0;
  const end = ids.findIndex((id) => {
    total += weights[id] ?? 0;
    return total >= mass;
  });
  return end < 0 ? ids : ids.slice(0, end + 1);
}

function draw(ids: number[], weights: Float64Array, random: Random): number {
  let left = random() * sum(ids, weights);
  for (const id of ids) {
    left -= weights[id] ?? 0;
    if (left < 0) return id;
  }
  // Rounding can leave a trace of mass after the last one.
  return ids.at(-1) ?? 0;
}

/** `draw` over the whole vocabulary, without listing it. */
function drawFromAll(weights: Float64Array, target: number): number {
  let left = target;
  let last = 0;
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id] ?? 0;
    if (weight > 0) last = id;
    left -= weight;
    if (left < 0) return id;
  }
  return last;
}
