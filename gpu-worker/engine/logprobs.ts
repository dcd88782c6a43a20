import { decay, STEPS_PER_NAT } from "./exponential.ts";
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
  for (let id = 0; id < logits.length; id++) total += decay((peak - (logits[id] ?? 0)) * STEPS_PER_NAT);
  return peak + Math.log(total);
}

const BLOCK = 64;

/**
 * Ids of the `count` largest values, from the largest down; of equals, the lower id first. They are all in the `count` blocks that have
 * the largest maxima, so that no order of the values, rising ones say, makes for more than a pass over them and a few blocks.
 */
function largest(values: Float32Array, count: number): number[] {
  if (count === 0) return [];
  const maxima = new Ranking(count);
  for (let start = 0; start < values.length; start += BLOCK) maxima.offer(start, maximum(values, start));
  const ranking = new Ranking(count);
  for (const start of maxima.ids.sort((a, b) => a - b)) {
    const end = Math.min(start + BLOCK, values.length);
    for (let id = start; id < end; id++) ranking.offer(id, values[id] ?? 0);
  }
  return ranking.ids;
}

/** The largest value of a block. */
function maximum(values: Float32Array, start: number): number {
  const end = Math.min(start + BLOCK, values.length);
  let peak = Number.NEGATIVE_INFINITY;
  for (let id = start; id < end; id++) {
    const value = values[id] ?? 0;
    if (value > peak) peak = value;
  }
  return peak;
}

/** The largest of the values that were offered in the order of their ids, the lower id first of equals. */
class Ranking {
  readonly ids: number[] = [];
  readonly #values: number[] = [];
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  offer(id: number, value: number): void {
    const full = this.ids.length === this.#size;
    if (full && !(value > (this.#values[this.#size - 1] ?? 0))) return;
    let place = full ? this.#size - 1 : this.ids.length;
    for (; place > 0 && (this.#values[place - 1] ?? 0) < value; place--) {
      this.ids[place] = this.ids[place - 1] ?? 0;
      this.#values[place] = this.#values[place - 1] ?? 0;
    }
    this.ids[place] = id;
    this.#values[place] = value;
  }
}
