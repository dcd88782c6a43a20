/**
 * An answer under a grammar and the thread that runs the grammar share a piece of memory: int32 words, in this order. The grammar
 * computes the next mask while the model computes the next logits, so that neither waits for the other.
 */
const MASKS = 0;
const TOKENS = 1;
const TOKEN = 2;
const WORDS = 3;

/** In place of the number of masks: the grammar failed. In place of the number of tokens: nobody needs it any more. */
const OVER = -1;

/** How long a mask is waited for. Masks take a millisecond at most; the thread's turn on a busy machine may take longer. */
const PATIENCE_MS = 10_000;

export function sharedMask(vocabulary: number): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * (WORDS + Math.ceil(vocabulary / 32)));
}

/** Tells the grammar that no more masks are needed. */
export function releaseMask(buffer: SharedArrayBuffer): void {
  const shared = new Int32Array(buffer);
  Atomics.store(shared, TOKENS, OVER);
  Atomics.notify(shared, TOKENS);
}

/** Ends the wait for a mask that will not come. */
export function failMask(buffer: SharedArrayBuffer): void {
  const shared = new Int32Array(buffer);
  Atomics.store(shared, MASKS, OVER);
  Atomics.notify(shared, MASKS);
}

/** The engine's side: which tokens may come next. */
export class TokenMask {
  readonly #shared: Int32Array;
  #tokens = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#shared = new Int32Array(buffer);
  }

  /**
   * Sets the logits of all tokens that must not come next to −∞.
   *
   * @throws Error where the grammar failed, or allows no token
   */
  apply(logits: Float32Array): void {
    const shared = this.#shared;
    if (Atomics.load(shared, MASKS) === this.#tokens) Atomics.wait(shared, MASKS, this.#tokens, PATIENCE_MS);
    if (Atomics.load(shared, MASKS) !== this.#tokens + 1) throw new Error("The grammar of the response format failed");
    let allowed = 0;
    for (let word = WORDS; word < shared.length; word++) {
      const bits = shared[word] ?? 0;
      const start = (word - WORDS) * 32;
      allowed |= bits;
      if (bits === 0) logits.fill(Number.NEGATIVE_INFINITY, start, start + 32);
      else if (bits !== -1) {
        for (let bit = 0; bit < 32; bit++)
          if (((bits >>> bit) & 1) === 0) logits[start + bit] = Number.NEGATIVE_INFINITY;
      }
    }
    logits.fill(Number.NEGATIVE_INFINITY, (shared.length - WORDS) * 32);
    if (allowed === 0) throw new Error("The response format allows no way to go on");
  }

  /** Says which token came. */
  push(token: number): void {
    this.#tokens++;
    Atomics.store(this.#shared, TOKEN, token);
    Atomics.store(this.#shared, TOKENS, this.#tokens);
    Atomics.notify(this.#shared, TOKENS);
  }
}

/** The grammar's side: writes masks and learns which tokens came. */
export class MaskWriter {
  readonly #shared: Int32Array<SharedArrayBuffer>;
  #tokens = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#shared = new Int32Array(buffer);
  }

  /** @param mask bit `id % 32` of word `id / 32` is whether token `id` may come next. */
  write(mask: Int32Array): void {
    this.#shared.set(mask, WORDS);
    Atomics.add(this.#shared, MASKS, 1);
    Atomics.notify(this.#shared, MASKS);
  }

  /** The token that came after the last mask; `null` once nobody needs more. */
  async nextToken(): Promise<number | null> {
    const change = Atomics.waitAsync(this.#shared, TOKENS, this.#tokens);
    if (change.async) await change.value;
    this.#tokens = Atomics.load(this.#shared, TOKENS);
    return this.#tokens === OVER ? null : Atomics.load(this.#shared, TOKEN);
  }
}
