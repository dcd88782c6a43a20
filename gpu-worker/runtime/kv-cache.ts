import type { DecoderConfig } from "../graph/decoder.ts";
import type { KvType } from "../graph/precision.ts";
import type { Provider } from "./onnxruntime/library.ts";
import type { BoundTensor } from "./onnxruntime/tensor.ts";

export type KvShape = Pick<DecoderConfig, "layers" | "kvHeads" | "headDim">;

/** The keys and values of some neighbouring slots. The same object for the same slots as long as the cache lives. */
export type KvWindow = {
  /** By layer, [rows, kvHeads, room, headDim] each. */
  layers: { key: BoundTensor; value: BoundTensor }[];
};

/** Which tokens a pass adds: `count` to each of the neighbouring slots from `firstSlot` on, behind the `computed` ones there. */
export type KvPass = { firstSlot: number; computed: readonly number[]; count: number };

/**
 * Keys and values of sequences, in slots 0 … n−1 of equal room. On the host's side they are float32, [kvRows, length, headDim], in the
 * order layer, key before value, head.
 */
export interface KvCache {
  readonly slots: number;
  /** Tokens a slot has room for. */
  readonly room: number;
  readonly bytes: number;
  /** A cache of another size that has the first `used` tokens of each slot, by slot. This one stays as it is. */
  resized(slots: number, room: number, used: readonly number[]): KvCache;
  /** Writes the first `count` tokens of `kv` into a slot, behind its first `offset`. */
  write(slot: number, offset: number, count: number, kv: Float32Array, length: number): void;
  /** The reverse: copies `count` tokens of a slot, from `offset` on, into the beginning of `kv`. */
  read(slot: number, offset: number, count: number, kv: Float32Array, length: number): void;
  /** Copies the first `tokens` tokens of one slot over another. */
  copy(from: number, to: number, tokens: number): void;
  /** Exchanges the contents of two slots. */
  swap(a: number, b: number, tokensOfA: number, tokensOfB: number): void;
  /**
   * Computes over the slots of a pass, as the window that `compute` is given.
   *
   * @returns what `compute` did: logits, valid until the next pass over the same slots.
   */
  pass(pass: KvPass, compute: (window: KvWindow) => Float32Array): Float32Array;
  release(): void;
}

/** Where keys and values are: with what computes. */
export interface KvMemory {
  readonly provider: Provider;
  readonly type: KvType;
  /** The most new tokens of a row that one pass may bring. */
  readonly passTokens: number;
  allocate(slots: number, room: number): KvCache;
  release(): void;
}
