import type { BankRange } from "../runtime/adapter-bank.ts";
import type { AdapterKey } from "./prefix-cache.ts";
import type { PromptLookup } from "./prompt-lookup.ts";

/** An adapter that is loaded: the hash of its content, and where it lies in the bank for as long as anybody computes with it. */
export type BankedAdapter = { key: string } & BankRange;

/** Tokens of one prompt and what follows it, and how many of them the KV pool holds: what a row of a batch computes. */
export class Sequence {
  readonly prompt: readonly number[];
  /** `null`: it is the model's own. */
  readonly adapter: BankedAdapter | null;
  /** Counts up with every request. */
  readonly arrival: number;
  /** Whether it must be computed to the last bit as if nothing had been computed before. */
  readonly reproducible: boolean;
  readonly #tokens: number[];
  /** Tokens whose keys and values are in the pool. */
  computed = 0;
  /** So many tokens from its beginning are in the pool to the last bit as reading the prompt from its beginning computes them. */
  canonical = 0;
  /** Prompt tokens whose keys and values were known from an earlier request; `null` until that was looked up. */
  cached: number | null = null;
  /** Whether it waits for another sequence that is computing the same beginning. */
  held = false;
  /** [vocab], after the last token; `null` until they are computed. */
  logits: Float32Array | null = null;
  /** What guesses how it goes on; `null` where its tokens must not depend on whether somebody guessed. */
  readonly lookup: PromptLookup | null;
  /** Tokens that were computed on the guess that they follow, and the logits after each. */
  #ahead: { token: number; logits: Float32Array }[] = [];

  constructor(
    prompt: readonly number[],
    arrival: number,
    reproducible: boolean,
    adapter: BankedAdapter | null = null,
    lookup: PromptLookup | null = null,
  ) {
    this.prompt = prompt;
    this.adapter = adapter;
    this.arrival = arrival;
    this.reproducible = reproducible;
    this.lookup = lookup;
    this.#tokens = [...prompt];
  }

  /** What its keys and values depend on besides its tokens. */
  get adapterKey(): AdapterKey {
    return this.adapter?.key ?? null;
  }

  /** Tokens that are not in the pool. */
  get pending(): number {
    return this.#tokens.length - this.computed;
  }

  /** Whether its prompt is being computed. */
  get prefilling(): boolean {
    return this.cached !== null && this.computed < this.prompt.length;
  }

  /** The tokens whose keys and values are in the pool. */
  get computedTokens(): number[] {
    return this.#tokens.slice(0, this.computed);
  }

  /** The next `count` tokens to compute. */
  next(count: number): number[] {
    return this.#tokens.slice(this.computed, this.computed + count);
  }

  /** What may follow its tokens, at most `most` of it. */
  draft(most: number): number[] {
    return this.lookup?.draft(this.#tokens).slice(0, most) ?? [];
  }

  /** Takes in a pass over its last token and a draft of what follows: the logits after each of them. */
  guess(draft: readonly number[], logits: readonly Float32Array[]): void {
    this.logits = logits[0] ?? null;
    this.#ahead = draft.map((token, index) => ({ token, logits: logits[index + 1] ?? new Float32Array(0) }));
  }

  /** Continues it with a token that was drawn from its logits. Where it was guessed, its own logits are there already. */
  push(token: number): void {
    this.#tokens.push(token);
    const guessed = this.#ahead.shift();
    if (guessed?.token === token) {
      this.computed++;
      this.logits = guessed.logits;
      return;
    }
    this.#ahead = [];
    this.logits = null;
  }
}
