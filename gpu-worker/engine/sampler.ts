import type { Sampling } from "../../schema/api/chat.ts";
import { Candidates } from "./candidates.ts";
import type { Random } from "./random.ts";

export type SamplerOptions = Pick<Sampling, "temperature" | "top_k" | "top_p" | "min_p">;

const candidates = new Candidates();

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
  // Beside an infinite logit nothing else has any probability.
  if (temperature === 0 || !Number.isFinite(logits[best])) return best;

  candidates.collect(logits, best, temperature, minP);
  if (topK > 0) candidates.keepCount(topK);
  candidates.keepShare(topP);
  return candidates.draw(random);
}

/** Index of the largest value; the first of equals. */
export function argmax(logits: Float32Array): number {
  const { length } = logits;
  const fours = length - (length % 4);
  let best = 0;
  let peak = Number.NEGATIVE_INFINITY;
  // Four at a time, for rarely one of them is larger: a third faster than one by one.
  for (let id = 0; id < fours; id += 4) {
    const a = logits[id] ?? 0;
    const b = logits[id + 1] ?? 0;
    const c = logits[id + 2] ?? 0;
    const d = logits[id + 3] ?? 0;
    if (!(a > peak || b > peak || c > peak || d > peak)) continue;
    for (let near = id; near < id + 4; near++) {
      const value = logits[near] ?? 0;
      if (value > peak) {
        peak = value;
        best = near;
      }
    }
  }
  for (let id = fours; id < length; id++) {
    const value = logits[id] ?? 0;
    if (value > peak) {
      peak = value;
      best = id;
    }
  }
  return best;
}
