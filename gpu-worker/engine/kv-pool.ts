import { type DecoderConfig, kvRows } from "../graph/decoder.ts";

/** Lengths a slot can have, in tokens: past slots cost time even when masked, so they grow in small steps. */
const STRIDES = [64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192];

/** The smallest slot length that holds `tokens`. */
function strideFor(tokens: number): number {
  const longest = STRIDES.at(-1) ?? 1;
  return STRIDES.find((stride) => stride >= tokens) ?? Math.ceil(tokens / longest) * longest;
}

/** Bytes of a pool of that many slots for that many tokens. */
export function kvPoolBytes(config: DecoderConfig): (slots: number, tokens: number) => number {
  const bytesPerToken = kvRows(config) * config.headDim * Float32Array.BYTES_PER_ELEMENT;
  return (slots, tokens) => slots * strideFor(tokens) * bytesPerToken;
}

/**
 * Keys and values of all running sequences, in slots 0 … n−1. Every slot has the same length, so that any run of neighbouring slots
 * is one contiguous tensor [rows, kvHeads, stride, headDim] that onnxruntime reads in place.
 */
export class KvPool {
  readonly #config: DecoderConfig;
  /** One array for each layer's keys and each layer's values. */
  #arrays: Float32Array[];
  #slots = 0;
  #stride = 0;

  constructor(config: DecoderConfig) {
    this.#config = config;
    this.#arrays = Array.from({ length: config.layers * 2 }, () => new Float32Array(0));
  }

  /** Tokens a slot can hold. */
  get stride(): number {
    return this.#stride;
  }

  get bytes(): number {
    return this.#arrays.reduce((total, array) => total + array.byteLength, 0);
  }

  /**
   * Makes room for `slots` slots of `tokens` tokens, and gives memory back when under a quarter of it is needed.
   *
   * @param used tokens in each slot that holds any; the rest is not carried over.
   */
  fit(slots: number, tokens: number, used: number[]): void {
    const stride = strideFor(tokens);
    const grows = stride > this.#stride || slots > this.#slots;
    const shrinks = slots * stride * 4 <= this.#slots * this.#stride;
    if (!grows && !shrinks) return;
    const next = shrinks
      ? { slots, stride }
      : { slots: Math.max(slots, this.#slots), stride: Math.max(stride, this.#stride) };
    this.#arrays = this.#arrays.map((from) => this.#repack(from, next, used));
    this.#slots = next.slots;
    this.#stride = next.stride;
  }

  /** Keys or values of `rows` slots from `first` on, [rows, kvHeads, stride, headDim], in place. */
  view(layer: number, kind: "key" | "value", first: number, rows: number): Float32Array {
    const slotSize = this.#headSize(this.#stride) * this.#config.kvHeads;
    return this.#array(layer, kind).subarray(first * slotSize, (first + rows) * slotSize);
  }

  /**
   * Writes keys and values of `count` tokens into `slot`, behind its first `offset` tokens.
   *
   * @param kv [kvRows, length, headDim], of which the first `count` tokens are taken.
   */
  write(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    this.#eachHead(slot, offset, (array, start, index) => {
      const { headDim } = this.#config;
      const from = index * length * headDim;
      array.set(kv.subarray(from, from + count * headDim), start);
    });
  }

  /** The reverse of {@link write}: copies `count` tokens of `slot`, from `offset` on, into the beginning of `kv`. */
  read(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    this.#eachHead(slot, offset, (array, start, index) => {
      const { headDim } = this.#config;
      kv.set(array.subarray(start, start + count * headDim), index * length * headDim);
    });
  }

  /** Visits a slot's tokens from `offset` on, in the order of kvRows: array, where in it they start, index of the row. */
  #eachHead(slot: number, offset: number, visit: (array: Float32Array, start: number, index: number) => void): void {
    const { kvHeads, headDim } = this.#config;
    for (const [part, array] of this.#arrays.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const start = (slot * kvHeads + head) * this.#headSize(this.#stride) + offset * headDim;
        visit(array, start, part * kvHeads + head);
      }
    }
  }

  /** Copies the first `tokens` tokens of one slot over another. */
  copy(from: number, to: number, tokens: number): void {
    const { kvHeads, headDim } = this.#config;
    const headSize = this.#headSize(this.#stride);
    for (const array of this.#arrays) {
      for (let head = 0; head < kvHeads; head++) {
        const start = (from * kvHeads + head) * headSize;
        array.copyWithin((to * kvHeads + head) * headSize, start, start + tokens * headDim);
      }
    }
  }

  /** Exchanges the contents of two slots. */
  swap(a: number, b: number, tokensOfA: number, tokensOfB: number): void {
    const { kvHeads, headDim } = this.#config;
    const headSize = this.#headSize(this.#stride);
    const size = Math.max(tokensOfA, tokensOfB) * headDim;
    for (const array of this.#arrays) {
      for (let head = 0; head < kvHeads; head++) {
        const startA = (a * kvHeads + head) * headSize;
        const startB = (b * kvHeads + head) * headSize;
        const kept = array.slice(startA, startA + size);
        array.copyWithin(startA, startB, startB + size);
        array.set(kept, startB);
      }
    }
  }

  #array(layer: number, kind: "key" | "value"): Float32Array {
    const array = this.#arrays[layer * 2 + (kind === "key" ? 0 : 1)];
    if (array === undefined) throw new Error(`The model has no layer ${layer}`);
    return array;
  }

  #headSize(stride: number): number {
    return stride * this.#config.headDim;
  }

  #repack(from: Float32Array, next: { slots: number; stride: number }, used: number[]): Float32Array {
    const { kvHeads, headDim } = this.#config;
    const to = new Float32Array(next.slots * kvHeads * this.#headSize(next.stride));
    for (const [slot, tokens] of used.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const index = slot * kvHeads + head;
        const start = index * this.#headSize(this.#stride);
        to.set(from.subarray(start, start + tokens * headDim), index * this.#headSize(next.stride));
      }
    }
    return to;
  }
}
