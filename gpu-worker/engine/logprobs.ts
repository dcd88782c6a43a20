import { exponential } from "./exponential.ts";
import { argmax } from "./sampler.ts";

export type TokenLogprob = { token: number; logprob: number };

/** A generated token's log-probability, and those of the tokens that were most likely in its place, from the most likely down. */
export type TokenLogprobs = TokenLogprob & { top: TokenLogprob[] };

/**
 * Log-probabilities under softmax(logits), the model's own distribution: vLLM's default, `raw_logprobs`.
 *
 * @param logits [vocab], as the model gave them; only read.
 * @param count how many of the most likely tokens to list.
 */
export function tokenLogprobs(logits: Float32Array, token: number, count: number): TokenLogprobs {
  const normaliser = logSumExp(logits);
  const of = (id: number): TokenLogprob => ({
    token: id,
    logprob: (logits[id] ?? Number.NEGATIVE_INFINITY) - normaliser,
  });
  return { ...of(token), top: largest(logits, count).map(of) };
}

function logSumExp(logits: Float32Array): number {
  const peak = logits[argmax(logits)] ?? 0;
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += exponential((logits[id] ?? 0) - peak);
  return peak + Math.log(total);
}

/** Ids of the `count` largest values, from the largest down; of equals, the lower id first. */
function largest(values: Float32Array, count: number): number[] {
  const ids: number[] = [];
  let bar = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < values.length && count > 0; id++) {
    const value = values[id] ?? Number.NEGATIVE_INFINITY;
    if (ids.length === count) {
      if (value <= bar) continue;
      ids.pop();
    }
    let place = ids.length;
    while (place > 0 && (values[ids[place - 1] ?? 0] ?? 0) < value) place--;
    ids.splice(place, 0, id);
    bar = values[ids.at(-1) ?? 0] ?? bar;
  }
  return ids;
}
