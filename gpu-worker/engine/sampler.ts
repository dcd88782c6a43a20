import type { Sampling } from "../../schema/api/chat.ts";
import type { Random } from "./random.ts";

export type SamplerOptions = Pick<Sampling, "temperature" | "top_k" | "top_p">;

/**
 * Draws one token from softmax(logits / temperature), cut to the `top_k` most likely and then to the smallest set whose probability
 * reaches `top_p` (Holtzman et al. 2020). Of equals, the lower id counts as more likely. Temperature 0 takes the most likely token.
 *
 * @param logits [vocab]; only read.
 */
export function sampleToken(logits: Float32Array, options: SamplerOptions, random: Random): number {
  const { temperature, top_k: topK, top_p: topP } = options;
  const best = argmax(logits);
  const peak = logits[best] ?? 0;
  // Beside an infinite logit nothing else has any probability.
  if (temperature === 0 || !Number.isFinite(peak)) return best;
  const weight = (id: number) => Math.exp(((logits[id] ?? 0) - peak) / temperature);

  if (topK > 0 && topK < logits.length) {
    const likely = mostLikely(logits, peak, temperature, (ids) => ids.length >= topK).slice(0, topK);
    return draw(nucleus(likely, weight, topP * sum(likely, weight)), weight, random);
  }
  if (topP < 1) {
    const mass = topP * sum(logits.keys(), weight);
    const likely = mostLikely(logits, peak, temperature, (ids) => sum(ids, weight) >= mass);
    return draw(nucleus(likely, weight, mass), weight, random);
  }
  return drawFromAll(logits, weight, random);
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

type Weight = (id: number) => number;

function sum(ids: Iterable<number>, weight: Weight): number {
  let total = 0;
  for (const id of ids) total += weight(id);
  return total;
}

/**
 * The ids from the most likely down, as many as `enough` asks for and rarely many more. Looks near the peak first and reaches
 * further down only where needed: sorting a whole vocabulary would cost more than a decoding step.
 */
function mostLikely(
  logits: Float32Array,
  peak: number,
  temperature: number,
  enough: (ids: number[]) => boolean,
): number[] {
  for (let reach = 6; ; reach *= 2) {
    const floor = reach > 1000 ? Number.NEGATIVE_INFINITY : peak - reach * temperature;
    const ids: number[] = [];
    for (let id = 0; id < logits.length; id++) {
      if ((logits[id] ?? 0) >= floor) ids.push(id);
    }
    if (floor === Number.NEGATIVE_INFINITY || enough(ids)) {
      return ids.sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
    }
  }
}

/** The shortest prefix of `ids` whose weights reach `mass`, at least one. */
function nucleus(ids: number[], weight: Weight, mass: number): number[] {
  let total = 0;
  const end = ids.findIndex((id) => {
    total += weight(id);
    return total >= mass;
  });
  return end < 0 ? ids : ids.slice(0, end + 1);
}

function draw(ids: number[], weight: Weight, random: Random): number {
  let left = random() * sum(ids, weight);
  for (const id of ids) {
    left -= weight(id);
    if (left < 0) return id;
  }
  // Rounding can leave a trace of mass after the last one.
  return ids.at(-1) ?? 0;
}

/** `draw` over the whole vocabulary, without listing it. */
function drawFromAll(logits: Float32Array, weight: Weight, random: Random): number {
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += weight(id);
  let left = random() * total;
  let last = 0;
  for (let id = 0; id < logits.length; id++) {
    const share = weight(id);
    if (share > 0) last = id;
    left -= share;
    if (left < 0) return id;
  }
  return last;
}
