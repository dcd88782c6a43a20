import type { Sampling } from "../../schema/api/chat.ts";
import { Detokeniser, type TokenBytes } from "./detokeniser.ts";
import { type Random, seededRandom } from "./random.ts";
import { sampleToken } from "./sampler.ts";
import { StopMatcher } from "./stop.ts";

/** A conversation that is ready to be continued: tokens in, tokens out. */
export type SequenceRequest = {
  id: string;
  /** Token ids, at least one. */
  prompt: number[];
  sampling: Omit<Sampling, "max_tokens">;
  /** Longest answer, in tokens. */
  maxTokens: number;
};

export type FinishReason = "stop" | "length";

/** What one more token did to the answer. */
export type Advance = { text: string; completionTokens: number; finish: FinishReason | null };

/** One answer in the making: its tokens, how many of them the KV pool holds, and what turns new ones into text. */
export class Sequence {
  readonly id: string;
  readonly arrival: number;
  readonly prompt: readonly number[];
  readonly #sampling: SequenceRequest["sampling"];
  readonly #maxTokens: number;
  readonly #random: Random;
  readonly #detokeniser: Detokeniser;
  readonly #stop: StopMatcher;
  readonly #tokens: number[];
  /** Tokens whose keys and values are in the pool. */
  computed = 0;
  /** Prompt tokens whose keys and values were known from an earlier request; `null` until that was looked up. */
  cached: number | null = null;
  /** Whether it waits for another sequence that is computing the same beginning. */
  held = false;

  constructor(request: SequenceRequest, arrival: number, table: TokenBytes) {
    this.id = request.id;
    this.arrival = arrival;
    this.prompt = request.prompt;
    this.#tokens = [...request.prompt];
    this.#sampling = request.sampling;
    this.#maxTokens = request.maxTokens;
    this.#random = seededRandom(request.sampling.seed);
    this.#detokeniser = new Detokeniser(table);
    this.#stop = new StopMatcher(request.sampling.stop);
  }

  get promptTokens(): number {
    return this.prompt.length;
  }

  /** Whether its prompt is being computed. */
  get prefilling(): boolean {
    return this.cached !== null && this.computed < this.promptTokens;
  }

  /** Tokens that are not yet in the pool. */
  get pending(): number {
    return this.#tokens.length - this.computed;
  }

  /** Tokens at the end of the longest possible answer. */
  get finalLength(): number {
    return this.promptTokens + this.#maxTokens;
  }

  get completionTokens(): number {
    return this.#tokens.length - this.promptTokens;
  }

  /** The tokens whose keys and values are in the pool. */
  get computedTokens(): number[] {
    return this.#tokens.slice(0, this.computed);
  }

  /** The next `count` tokens to compute. */
  next(count: number): number[] {
    return this.#tokens.slice(this.computed, this.computed + count);
  }

  /**
   * Draws the next token and says what it adds to the answer.
   *
   * @param logits [vocab], after the last token.
   */
  advance(logits: Float32Array, eosIds: ReadonlySet<number>): Advance {
    const token = sampleToken(logits, this.#sampling, this.#random);
    this.#tokens.push(token);
    const completionTokens = this.completionTokens;
    if (eosIds.has(token)) return { text: this.#stop.flush(), completionTokens, finish: "stop" };
    const { text, stopped } = this.#stop.push(this.#detokeniser.push(token));
    if (stopped) return { text, completionTokens, finish: "stop" };
    if (completionTokens >= this.#maxTokens) {
      return { text: text + this.#stop.flush(), completionTokens, finish: "length" };
    }
    return { text, completionTokens, finish: null };
  }
}
