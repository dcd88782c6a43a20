import type { TokenLogprobs } from "./logprobs.ts";

/**
 * Holds each token's log-probabilities back until text of it goes out, so that those of a piece of text come with it, and those of
 * a stop string as little as its text.
 */
export class LogprobQueue {
  readonly #held: { start: number; logprobs: TokenLogprobs }[] = [];
  /** Characters that the tokens so far spell, and those that went out. */
  #spelled = 0;
  #released = 0;

  /** Takes a token and the text it completed. */
  push(logprobs: TokenLogprobs, text: string): void {
    this.#held.push({ start: this.#spelled, logprobs });
    this.#spelled += text.length;
  }

  /** Lets out what belongs to `length` more characters: every token that begins before they end. */
  release(length: number): TokenLogprobs[] {
    this.#released += length;
    const kept = this.#held.findIndex(({ start }) => start >= this.#released);
    return this.#take(kept < 0 ? this.#held.length : kept);
  }

  /** Lets out everything, for an answer that was not cut at a stop string. */
  flush(): TokenLogprobs[] {
    return this.#take(this.#held.length);
  }

  #take(count: number): TokenLogprobs[] {
    return this.#held.splice(0, count).map(({ logprobs }) => logprobs);
  }
}
