import { DATA_TYPES } from "../../graph/graph.ts";
import { type Handle, onnxruntime } from "./library.ts";

export type TensorArray = Float32Array | Int32Array | BigInt64Array;

function elementType(data: TensorArray): number {
  if (data instanceof Float32Array) return DATA_TYPES.float32;
  return data instanceof Int32Array ? DATA_TYPES.int32 : DATA_TYPES.int64;
}

/** What a session can be bound to. */
export type BoundTensor = { readonly handle: Handle };

/** An array as onnxruntime sees it: in place, never copied, for reading and for writing. */
export class Tensor {
  /** Held here, so that the memory outlives the library's use of it. */
  readonly data: TensorArray;
  readonly shape: readonly number[];
  readonly handle: Handle;

  /** @param data row-major, as many values as `shape` says; a part of a larger array is as good. */
  constructor(data: TensorArray, shape: readonly number[]) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (data.length !== size) throw new RangeError(`${data.length} values do not make a tensor of shape [${shape}]`);
    const { createTensor, hostMemory } = onnxruntime();
    this.data = data;
    this.shape = shape;
    this.handle = createTensor(
      hostMemory,
      data,
      data.byteLength,
      BigInt64Array.from(shape, BigInt),
      shape.length,
      elementType(data),
    );
  }

  release(): void {
    onnxruntime().releaseTensor(this.handle);
  }
}
