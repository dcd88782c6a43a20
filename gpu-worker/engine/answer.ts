import { Detokeniser } from "./detokeniser.ts";
import type { Vocabulary } from "./engine.ts";
import type { GenerationRequest } from "./generation.ts";
import { LogprobQueue } from "./logprob-queue.ts";
import type { TokenLogprobs } from "./logprobs.ts";
import { StopMatcher } from "./stop.ts";
import { TokenMask } from "./token-mask.ts";
import { TokenSampler } from "./token-sampler.ts";

export type FinishReason = "stop" | "length";

/** What one more token did to the answer. `logprobs`, where they were asked for, are of the tokens that `text` is from. */
export type Advance = {
  text: string;
  completionTokens: number;
  finish: FinishReason | null;
  logprobs?: TokenLogprobs[];
};

const NONE: ReadonlySet<number> = new Set();

/** The answer's side of a sequence: draws its tokens, turns them into text and knows when it is over. */
export class Answer {
  readonly #minTokens: number;
  readonly #maxTokens: number;
  readonly #endIds: ReadonlySet<number>;
  readonly #sampler: TokenSampler;
  readonly #detokeniser: Detokeniser;
  readonly #stop: StopMatcher;
  readonly #logprobs: LogprobQueue | null;
  #tokens = 0;

  constructor({ prompt, sampling, maxTokens, mask }: GenerationRequest, { tokens, eosIds }: Vocabulary) {
    this.#minTokens = sampling.min_tokens;
    this.#maxTokens = maxTokens;
    this.#endIds = new Set([...(sampling.ignore_eos ? [] : eosIds), ...sampling.stop_token_ids]);
    this.#sampler = new TokenSampler(sampling, prompt, mask === undefined ? null : new TokenMask(mask));
    this.#detokeniser = new Detokeniser(tokens);
    this.#stop = new StopMatcher(sampling.stop);
    this.#logprobs = sampling.logprobs === null ? null : new LogprobQueue();
  }

  /** Tokens drawn so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /**
   * Draws the next token and says what it adds to the answer. An end token counts and adds nothing.
   *
   * @param logits [vocab], after the last token; only read.
   * @throws Error where the grammar of the response format failed
   */
  next(logits: Float32Array): { token: number; advance: Advance } {
    const mayEnd = this.#tokens >= this.#minTokens;
    const { token, logprobs } = this.#sampler.draw(logits, mayEnd ? NONE : this.#endIds);
    this.#tokens++;
    if (this.#endIds.has(token)) return { token, advance: this.#end("stop") };
    const piece = this.#detokeniser.push(token);
    if (logprobs !== null) this.#logprobs?.push(logprobs, piece);
    const { text, stopped } = this.#stop.push(piece, mayEnd);
    if (stopped) return { token, advance: this.#advance(text, "stop", this.#logprobs?.release(text.length)) };
    if (this.#tokens >= this.#maxTokens) return { token, advance: this.#end("length", text) };
    return { token, advance: this.#advance(text, null, this.#logprobs?.release(text.length)) };
  }

  /** Ends the answer where it is, for want of time. */
  cut(): Advance {
    return this.#end("length");
  }

  /** The last advance of an answer that no stop string cut: what was held back goes out. */
  #end(finish: FinishReason, text = ""): Advance {
    return this.#advance(text + this.#stop.flush(), finish, this.#logprobs?.flush());
  }

  #advance(text: string, finish: FinishReason | null, logprobs: TokenLogprobs[] | undefined): Advance {
    const advance = { text, completionTokens: this.#tokens, finish };
    return logprobs === undefined ? advance : { ...advance, logprobs };
  }
}
