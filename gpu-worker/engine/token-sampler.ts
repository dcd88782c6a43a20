import type { Sampling } from "../../schema/api/chat.ts";
import { type TokenLogprobs, tokenLogprobs } from "./logprobs.ts";
import { Penalties } from "./penalties.ts";
import { type Random, seededRandom } from "./random.ts";
import { sampleToken } from "./sampler.ts";
import type { TokenMask } from "./token-mask.ts";

/** A token that was drawn. `logprobs` is `null` where the request did not ask for it. */
export type DrawnToken = { token: number; logprobs: TokenLogprobs | null };

/** Reused by all: a vocabulary of floats is copied only for a request that changes them, and never allocated per token. */
let scratch = new Float32Array(0);

/**
 * Draws the tokens of one answer. What a request may ask for is done in this order, which is vLLM's (`Sampler.forward` and
 * `sample` in vllm/v1/sample/sampler.py):
 *
 * 1. log-probabilities are read off the logits as the model gave them;
 * 2. `min_tokens` bans the tokens that would end the answer;
 * 3. `logit_bias` is added;
 * 4. `repetition_penalty`, `frequency_penalty`, `presence_penalty`;
 * 5. the grammar of `response_format` takes out the tokens that cannot come next. vLLM does this before all others, and so reports
 *    log-probabilities of what the grammar has left; on the token that is drawn the order has no influence;
 * 6. `temperature`; at 0 the most likely token is taken, and nothing below applies;
 * 7. `min_p`, `top_k`, `top_p`, each measured within what the one before has left;
 * 8. one number from the request's own random source picks the token.
 */
export class TokenSampler {
  readonly #sampling: Omit<Sampling, "max_tokens">;
  readonly #random: Random;
  readonly #bias: [token: number, bias: number][];
  readonly #penalties: Penalties | null;
  readonly #mask: TokenMask | null;

  /** @param mask of the grammar that the answer must follow. */
  constructor(sampling: Omit<Sampling, "max_tokens">, prompt: readonly number[], mask: TokenMask | null) {
    this.#sampling = sampling;
    this.#random = seededRandom(sampling.seed);
    this.#bias = Object.entries(sampling.logit_bias).map(([token, bias]) => [Number(token), bias]);
    this.#penalties = Penalties.wanted(sampling) ? new Penalties(sampling, prompt) : null;
    this.#mask = mask;
  }

  /**
   * @param logits [vocab]; only read, for rows of a batch may share them.
   * @param banned tokens that must not come now.
   * @throws Error where the grammar failed
   */
  draw(logits: Float32Array, banned: ReadonlySet<number>): DrawnToken {
    const token = sampleToken(this.#adjusted(logits, banned), this.#sampling, this.#random);
    this.#penalties?.push(token);
    this.#mask?.push(token);
    const { logprobs } = this.#sampling;
    return { token, logprobs: logprobs === null ? null : tokenLogprobs(logits, token, logprobs) };
  }

  #adjusted(logits: Float32Array, banned: ReadonlySet<number>): Float32Array {
    const unchanged = banned.size === 0 && this.#bias.length === 0 && this.#penalties === null && this.#mask === null;
    if (unchanged) return logits;
    if (scratch.length !== logits.length) scratch = new Float32Array(logits.length);
    scratch.set(logits);
    // A write past the end, of a token id that this model does not have, is none.
    for (const token of banned) scratch[token] = Number.NEGATIVE_INFINITY;
    for (const [token, bias] of this.#bias) scratch[token] = (scratch[token] ?? 0) + bias;
    this.#penalties?.apply(scratch);
    this.#mask?.apply(scratch);
    return scratch;
  }
}
