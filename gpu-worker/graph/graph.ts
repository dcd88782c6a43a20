/** An ONNX graph as a plain value: what the builder makes and the serialiser writes. */

export type ElementType = "float32" | "float16" | "int32" | "int64" | "int8" | "uint8";

/** TensorProto.DataType (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), as onnxruntime's C API numbers types too. */
export const DATA_TYPES: Record<ElementType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  float16: 10,
};

/** A number is a fixed size, a string names a dynamic one. */
export type Dimension = number | string;

export type TensorData = Float32Array | Int32Array | BigInt64Array | Int8Array | Uint8Array;

export type Attribute =
  | { kind: "int"; value: number }
  | { kind: "float"; value: number }
  | { kind: "ints"; value: readonly number[] }
  | { kind: "string"; value: string };

/** An edge of the graph, by name. */
export type Value = { readonly name: string };

export type ValueInfo = { name: string; type: ElementType; shape: Dimension[] };

/** A constant tensor. `load` is called once, when the graph is written, so that large weights are never all in memory. */
export type Initializer = {
  name: string;
  type: ElementType;
  shape: number[];
  load: () => Promise<TensorData>;
};

export type GraphNode = {
  operator: string;
  /** `""` for the ONNX operators, `com.microsoft` for onnxruntime's own. */
  domain: string;
  name: string;
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
};

export type Graph = {
  name: string;
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  initializers: Initializer[];
  nodes: GraphNode[];
};

/** Bytes of one value. */
export const TYPE_BYTES: Record<ElementType, number> = {
  float32: 4,
  float16: 2,
  int32: 4,
  int64: 8,
  int8: 1,
  uint8: 1,
};

/** Size of a constant in bytes. */
export function byteLength({ type, shape }: Pick<Initializer, "type" | "shape">): number {
  return shape.reduce((product, size) => product * size, TYPE_BYTES[type]);
}
