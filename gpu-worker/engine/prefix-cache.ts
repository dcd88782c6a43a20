/** Tokens that share one block. Small blocks share more, large ones cost less to keep. */
export const BLOCK_TOKENS = 16;

/** A run of tokens whose keys and values are kept, [kvRows, BLOCK_TOKENS, headDim]; what lies beyond `tokens` is undefined. */
type Block = {
  tokens: readonly number[];
  kv: Float32Array;
  canonical: boolean;
  parent: Block | null;
  children: Map<string, Block>;
  lastUsed: number;
};

/**
 * A piece of a cached prefix: the first `count` tokens of a block. `canonical`: they are to the last bit what reading the prompt from
 * its beginning would compute.
 */
export type CachedPiece = { kv: Float32Array; count: number; canonical: boolean };

/** The hash of an adapter's content; `null` for the model without one. */
export type AdapterKey = string | null;

/** Copies the keys and values of `count` tokens from `offset` on into the beginning of `kv`. */
export type KvReader = (offset: number, count: number, kv: Float32Array) => void;

/**
 * Keys and values of prefixes that were computed before, for all requests to one set of weights. A tree of blocks: the path from the
 * root spells the tokens, so a hit is a comparison of tokens and never of hashes alone. Of the block after the last whole hit, as many
 * tokens are used as agree, so a conversation that differs in its label line is read again from the label line on.
 *
 * Keys and values depend on the weights, the adapter and the tokens alone. An engine has one set of weights; each adapter, by the hash
 * of its content, has a tree of its own, and so has the model without one.
 */
export class PrefixCache {
  readonly #blockValues: number;
  readonly #capacity: number;
  /** The trees, by adapter. */
  readonly #tops = new Map<AdapterKey, Block>();
  readonly #blocks = new Set<Block>();
  /** Arrays of evicted blocks. Freed ones would linger until the next garbage collection, outside the cap. */
  readonly #spare: Float32Array[] = [];
  #clock = 0;

  /**
   * @param valuesPerToken float32 values of one token's keys and values.
   * @param capacity bytes it may take; less than one block keeps nothing.
   */
  constructor(valuesPerToken: number, capacity: number) {
    this.#blockValues = valuesPerToken * BLOCK_TOKENS;
    this.#capacity = Math.floor(capacity / (this.#blockValues * Float32Array.BYTES_PER_ELEMENT));
  }

  get bytes(): number {
    return (this.#blocks.size + this.#spare.length) * this.#blockValues * Float32Array.BYTES_PER_ELEMENT;
  }

  /** The longest prefix of `tokens` known under an adapter, in order. Valid until the next insertion. */
  match(tokens: readonly number[], adapter: AdapterKey = null): CachedPiece[] {
    const pieces: CachedPiece[] = [];
    let block = this.#tops.get(adapter);
    for (let offset = 0; block !== undefined && offset < tokens.length; offset += BLOCK_TOKENS) {
      const wanted = tokens.slice(offset, offset + BLOCK_TOKENS);
      const whole = block.children.get(keyOf(wanted));
      const child = whole ?? closest(block.children.values(), wanted);
      if (child === undefined) break;
      child.lastUsed = ++this.#clock;
      pieces.push({ kv: child.kv, count: agreement(child.tokens, wanted), canonical: child.canonical });
      if (whole === undefined || whole.tokens.length < BLOCK_TOKENS) break;
      block = whole;
    }
    return pieces;
  }

  /**
   * Keeps what it does not know yet of a prefix whose keys and values `read` can copy.
   *
   * @param canonical so many tokens from the beginning are canonical; they take the place of others that are not.
   */
  insert(tokens: readonly number[], canonical: number, read: KvReader, adapter: AdapterKey = null): void {
    let block = this.#top(adapter);
    for (let offset = 0; offset < tokens.length; offset += BLOCK_TOKENS) {
      const wanted = tokens.slice(offset, offset + BLOCK_TOKENS);
      const isCanonical = offset + wanted.length <= canonical;
      const known = this.#covering(block, wanted) ?? this.#add(block, wanted, offset, read, isCanonical);
      if (known === null) return;
      if (isCanonical && !known.canonical && known.tokens.length === wanted.length) {
        read(offset, wanted.length, known.kv);
        known.canonical = true;
      }
      known.lastUsed = ++this.#clock;
      block = known;
    }
  }

  /** The tree of an adapter. Those of others that are empty by now are forgotten. */
  #top(adapter: AdapterKey): Block {
    for (const [key, { children }] of this.#tops) if (children.size === 0) this.#tops.delete(key);
    const nothing = { tokens: [], kv: new Float32Array(0), canonical: true };
    const top = this.#tops.get(adapter) ?? { ...nothing, parent: null, children: new Map(), lastUsed: 0 };
    this.#tops.set(adapter, top);
    return top;
  }

  /** The child that holds `wanted`; an incomplete run may be the beginning of a longer one. */
  #covering(parent: Block, wanted: readonly number[]): Block | undefined {
    const same = parent.children.get(keyOf(wanted));
    if (same !== undefined || wanted.length === BLOCK_TOKENS) return same;
    return [...parent.children.values()].find((child) => agreement(child.tokens, wanted) === wanted.length);
  }

  /** `null` where there is no room. */
  #add(parent: Block, tokens: readonly number[], offset: number, read: KvReader, canonical: boolean): Block | null {
    const kv = this.#allocate(parent);
    if (kv === null) return null;
    read(offset, tokens.length, kv);
    for (const child of parent.children.values()) {
      // An incomplete run that this one continues is of no more use.
      if (child.tokens.length < tokens.length && agreement(child.tokens, tokens) === child.tokens.length)
        this.#drop(child);
    }
    const block: Block = { tokens, kv, canonical, parent, children: new Map(), lastUsed: this.#clock };
    parent.children.set(keyOf(tokens), block);
    this.#blocks.add(block);
    return block;
  }

  /** A spare array, a new one, or that of the block that was not used for longest; never one on the path to `parent`. */
  #allocate(parent: Block): Float32Array | null {
    if (this.#spare.length === 0 && this.#blocks.size >= this.#capacity) {
      // A parent is used whenever its child is, so the oldest leaf is the oldest block that nothing depends on.
      let oldest: Block | null = null;
      for (const block of this.#blocks) {
        if (block.children.size > 0 || block === parent) continue;
        if (oldest === null || block.lastUsed < oldest.lastUsed) oldest = block;
      }
      if (oldest === null) return null;
      this.#drop(oldest);
    }
    return this.#spare.pop() ?? new Float32Array(this.#blockValues);
  }

  #drop(block: Block): void {
    block.parent?.children.delete(keyOf(block.tokens));
    this.#blocks.delete(block);
    this.#spare.push(block.kv);
  }
}

const keyOf = (tokens: readonly number[]): string => tokens.join();

/** How many tokens two runs have in common from their beginning. */
export function agreement(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    if (a[index] !== b[index]) return index;
  }
  return length;
}

/** The block that agrees with `wanted` for longest, if any does at all. */
function closest(blocks: Iterable<Block>, wanted: readonly number[]): Block | undefined {
  let best: Block | undefined;
  let longest = 0;
  for (const block of blocks) {
    const length = agreement(block.tokens, wanted);
    if (length > longest) [best, longest] = [block, length];
  }
  return best;
}
