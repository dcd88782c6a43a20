/** Tokens of one prompt and what follows it, and how many of them the KV pool holds: what a row of a batch computes. */
export class Sequence {
  readonly prompt: readonly number[];
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

  constructor(prompt: readonly number[], arrival: number, reproducible: boolean) {
    this.prompt = prompt;
    this.arrival = arrival;
    this.reproducible = reproducible;
    this.#tokens = [...prompt];
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

  /** Continues it with a token that was drawn from its logits. */
  push(token: number): void {
    this.#tokens.push(token);
    this.logits = null;
  }
}
