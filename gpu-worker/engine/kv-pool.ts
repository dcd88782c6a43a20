import { type DecoderConfig, kvRows } from "../graph/decoder.ts";
import type { DecoderSession } from "../runtime/decoder-session.ts";
import type { KvCache } from "../runtime/kv-cache.ts";
import type { AdmissionLimits } from "./policy.ts";

/** Whose keys and values these are, and who gives the memory. */
type Owner = Pick<DecoderSession, "config" | "allocate" | "free">;

/** Room a slot can have, in tokens. Few sizes, because keys and values have to be copied from one to the next. */
const ROOMS = [128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192];

/** The smallest room for `tokens`. */
function roomFor(tokens: number): number {
  const most = ROOMS.at(-1) ?? 1;
  return ROOMS.find((room) => room >= tokens) ?? Math.ceil(tokens / most) * most;
}

/** Bytes of a pool of that many slots for that many tokens. */
export function kvPoolBytes(config: DecoderConfig): (slots: number, tokens: number) => number {
  const bytesPerToken = kvRows(config) * config.headDim * Float32Array.BYTES_PER_ELEMENT;
  return (slots, tokens) => slots * roomFor(tokens) * bytesPerToken;
}

/**
 * Keys and values of all running sequences, in slots 0 … n−1. Every slot has the same room, so that any run of neighbouring slots
 * is one contiguous tensor [rows, kvHeads, room, headDim] that onnxruntime reads and writes in place.
 */
export class KvPool {
  readonly #owner: Owner;
  readonly #limits: AdmissionLimits;
  #cache: KvCache;

  constructor(owner: Owner, limits: AdmissionLimits) {
    this.#owner = owner;
    this.#limits = limits;
    this.#cache = owner.allocate(0, 0);
  }

  get cache(): KvCache {
    return this.#cache;
  }

  get bytes(): number {
    return this.#cache.bytes;
  }

  /**
   * Makes room for `slots` slots of `tokens` tokens, and gives memory back when under a quarter of that length is needed. There are as
   * many slots at once as may ever be admitted at that length, so that nobody has to move for an arrival.
   *
   * @param used tokens in each slot that holds any; the rest is not carried over.
   */
  fit(slots: number, tokens: number, used: number[]): void {
    const room = roomFor(tokens);
    const isEnough = this.#cache.slots >= slots && this.#cache.room >= room;
    if (isEnough && this.#cache.room < room * 4) return;
    const most = Math.floor(this.#limits.kvBytes / kvPoolBytes(this.#owner.config)(1, tokens));
    const next = this.#owner.allocate(Math.max(slots, Math.min(most, this.#limits.rows)), room);
    for (const [index, to] of next.arrays.entries()) {
      const from = this.#cache.arrays[index];
      if (from !== undefined) this.#repack(from, to, next.room, used);
    }
    this.#owner.free(this.#cache);
    this.#cache = next;
  }

  /**
   * Writes keys and values of `count` tokens into `slot`, behind its first `offset` tokens.
   *
   * @param kv [kvRows, length, headDim], of which the first `count` tokens are taken.
   */
  write(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    const { headDim } = this.#owner.config;
    this.#eachHead(slot, offset, (array, start, index) => {
      const from = index * length * headDim;
      array.set(kv.subarray(from, from + count * headDim), start);
    });
  }

  /** The reverse of {@link write}: copies `count` tokens of `slot`, from `offset` on, into the beginning of `kv`. */
  read(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    const { headDim } = this.#owner.config;
    this.#eachHead(slot, offset, (array, start, index) => {
      kv.set(array.subarray(start, start + count * headDim), index * length * headDim);
    });
  }

  /** Visits a slot's tokens from `offset` on, in the order of kvRows: array, where in it they start, index of the row. */
  #eachHead(slot: number, offset: number, visit: (array: Float32Array, start: number, index: number) => void): void {
    const { kvHeads, headDim } = this.#owner.config;
    for (const [part, array] of this.#cache.arrays.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const start = (slot * kvHeads + head) * this.#headSize(this.#cache.room) + offset * headDim;
        visit(array, start, part * kvHeads + head);
      }
    }
  }

  /** Copies the first `tokens` tokens of one slot over another. */
  copy(from: number, to: number, tokens: number): void {
    const { kvHeads, headDim } = this.#owner.config;
    const headSize = this.#headSize(this.#cache.room);
    for (const array of this.#cache.arrays) {
      for (let head = 0; head < kvHeads; head++) {
        const start = (from * kvHeads + head) * headSize;
        array.copyWithin((to * kvHeads + head) * headSize, start, start + tokens * headDim);
      }
    }
  }

  /** Exchanges the contents of two slots. */
  swap(a: number, b: number, tokensOfA: number, tokensOfB: number): void {
    const { kvHeads, headDim } = this.#owner.config;
    const headSize = this.#headSize(this.#cache.room);
    const size = Math.max(tokensOfA, tokensOfB) * headDim;
    for (const array of this.#cache.arrays) {
      for (let head = 0; head < kvHeads; head++) {
        const startA = (a * kvHeads + head) * headSize;
        const startB = (b * kvHeads + head) * headSize;
        const kept = array.slice(startA, startA + size);
        array.copyWithin(startA, startB, startB + size);
        array.set(kept, startB);
      }
    }
  }

  #headSize(room: number): number {
    return room * this.#owner.config.headDim;
  }

  #repack(from: Float32Array, to: Float32Array, room: number, used: number[]): void {
    const { kvHeads, headDim } = this.#owner.config;
    for (const [slot, tokens] of used.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const index = slot * kvHeads + head;
        const start = index * this.#headSize(this.#cache.room);
        to.set(from.subarray(start, start + tokens * headDim), index * this.#headSize(room));
      }
    }
  }
}
