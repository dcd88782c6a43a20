import type { KvCache, KvMemory, KvPass, KvShape, KvWindow } from "./kv-cache.ts";
import { Tensor } from "./onnxruntime/tensor.ts";

/** What of a window has to be released. */
type Tensors = { layers: { key: Tensor; value: Tensor }[] };

/**
 * Keys and values in this process' own memory: any neighbouring slots make one contiguous tensor, which onnxruntime reads and writes in
 * place. The system gives memory to a page when something is first written there, so room that is never used costs nothing.
 */
class HostKvCache implements KvCache {
  readonly slots: number;
  readonly room: number;
  readonly #shape: KvShape;
  /** One array for each layer's keys and each layer's values, [slots, kvHeads, room, headDim], in the order layer, key before value. */
  readonly #arrays: readonly Float32Array[];
  readonly #windows = new Map<string, Tensors>();

  constructor(shape: KvShape, slots: number, room: number) {
    this.#shape = shape;
    this.slots = slots;
    this.room = room;
    const size = slots * shape.kvHeads * room * shape.headDim;
    this.#arrays = Array.from({ length: shape.layers * 2 }, () => new Float32Array(size));
  }

  get bytes(): number {
    return this.#arrays.reduce((total, array) => total + array.byteLength, 0);
  }

  resized(slots: number, room: number, used: readonly number[]): HostKvCache {
    const next = new HostKvCache(this.#shape, slots, room);
    const { headDim } = this.#shape;
    for (const [slot, tokens] of used.entries()) {
      this.#eachHead(slot, 0, (array, start, part, head) => {
        next.#arrays[part]?.set(array.subarray(start, start + tokens * headDim), next.#start(slot, head));
      });
    }
    return next;
  }

  write(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    const { kvHeads, headDim } = this.#shape;
    this.#eachHead(slot, offset, (array, start, part, head) => {
      const from = (part * kvHeads + head) * length * headDim;
      array.set(kv.subarray(from, from + count * headDim), start);
    });
  }

  read(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    const { kvHeads, headDim } = this.#shape;
    this.#eachHead(slot, offset, (array, start, part, head) => {
      kv.set(array.subarray(start, start + count * headDim), (part * kvHeads + head) * length * headDim);
    });
  }

  copy(from: number, to: number, tokens: number): void {
    const size = tokens * this.#shape.headDim;
    this.#eachHead(from, 0, (array, start, _, head) => {
      array.copyWithin(this.#start(to, head), start, start + size);
    });
  }

  swap(a: number, b: number, tokensOfA: number, tokensOfB: number): void {
    const size = Math.max(tokensOfA, tokensOfB) * this.#shape.headDim;
    this.#eachHead(a, 0, (array, startA, _, head) => {
      const startB = this.#start(b, head);
      const kept = array.slice(startA, startA + size);
      array.copyWithin(startA, startB, startB + size);
      array.set(kept, startB);
    });
  }

  /** Visits a slot's tokens from `offset` on: array and where in it they start, and which part and head they are of. */
  #eachHead(
    slot: number,
    offset: number,
    visit: (array: Float32Array, start: number, part: number, head: number) => void,
  ): void {
    const { kvHeads, headDim } = this.#shape;
    for (const [part, array] of this.#arrays.entries()) {
      for (let head = 0; head < kvHeads; head++) visit(array, this.#start(slot, head) + offset * headDim, part, head);
    }
  }

  #start(slot: number, head: number): number {
    return (slot * this.#shape.kvHeads + head) * this.room * this.#shape.headDim;
  }

  pass({ firstSlot, computed }: KvPass, compute: (window: KvWindow) => Float32Array): Float32Array {
    return compute(this.#window(firstSlot, computed.length));
  }

  #window(first: number, rows: number): KvWindow {
    const key = `${first}+${rows}`;
    const known = this.#windows.get(key);
    if (known !== undefined) return known;
    const window = {
      layers: Array.from({ length: this.#shape.layers }, (_, layer) => this.#layer(layer, first, rows)),
    };
    this.#windows.set(key, window);
    return window;
  }

  #layer(layer: number, first: number, rows: number): Tensors["layers"][number] {
    const { kvHeads, headDim } = this.#shape;
    const slotSize = kvHeads * this.room * headDim;
    const tensor = (part: number) => {
      const array = this.#arrays[part];
      if (array === undefined) throw new Error(`The model has no layer ${layer}`);
      const values = array.subarray(first * slotSize, (first + rows) * slotSize);
      return new Tensor(values, [rows, kvHeads, this.room, headDim]);
    };
    return { key: tensor(2 * layer), value: tensor(2 * layer + 1) };
  }

  release(): void {
    for (const { layers } of this.#windows.values()) {
      for (const { key, value } of layers) {
        key.release();
        value.release();
      }
    }
    this.#windows.clear();
  }
}

/** This process' own memory, for a decoder of that shape. */
export function hostMemory(shape: KvShape): KvMemory {
  return {
    provider: "cpu",
    type: "float32",
    passTokens: Number.POSITIVE_INFINITY,
    allocate: (slots, room) => new HostKvCache(shape, slots, room),
    release: () => {},
  };
}
