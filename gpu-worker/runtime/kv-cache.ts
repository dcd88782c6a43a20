import type { DecoderConfig } from "../graph/decoder.ts";
import { Tensor } from "./onnxruntime/tensor.ts";

type KvShape = Pick<DecoderConfig, "layers" | "kvHeads" | "headDim">;

/** The keys and values of some neighbouring slots, as tensors over their memory in place. */
export type KvWindow = {
  /** By layer, [rows, kvHeads, room, headDim] each. */
  layers: { key: Tensor; value: Tensor }[];
};

/**
 * Memory for keys and values: slots of equal room, so that any neighbouring ones make one contiguous tensor. The system gives
 * memory to a page when something is first written there, so room that is never used costs nothing.
 */
export class KvCache {
  readonly slots: number;
  /** Tokens a slot has room for. */
  readonly room: number;
  /** One array for each layer's keys and each layer's values, [slots, kvHeads, room, headDim], in the order layer, key before value. */
  readonly arrays: readonly Float32Array[];
  readonly #shape: KvShape;
  readonly #windows = new Map<string, KvWindow>();

  constructor(shape: KvShape, slots: number, room: number) {
    this.#shape = shape;
    this.slots = slots;
    this.room = room;
    const size = slots * shape.kvHeads * room * shape.headDim;
    this.arrays = Array.from({ length: shape.layers * 2 }, () => new Float32Array(size));
  }

  get bytes(): number {
    return this.arrays.reduce((total, array) => total + array.byteLength, 0);
  }

  /** The same object for the same slots as long as the cache lives. */
  window(first: number, rows: number): KvWindow {
    const key = `${first}+${rows}`;
    const known = this.#windows.get(key);
    if (known !== undefined) return known;
    const window = {
      layers: Array.from({ length: this.#shape.layers }, (_, layer) => this.#layer(layer, first, rows)),
    };
    this.#windows.set(key, window);
    return window;
  }

  #layer(layer: number, first: number, rows: number): KvWindow["layers"][number] {
    const { kvHeads, headDim } = this.#shape;
    const slotSize = kvHeads * this.room * headDim;
    const tensor = (index: number) => {
      const array = this.arrays[index];
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
