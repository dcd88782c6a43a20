import { GraphBuilder, int } from "./builder.ts";
import type { Graph, Value } from "./graph.ts";
import type { KvType } from "./precision.ts";

/**
 * A cache of keys and values to these graphs: `parts` tensors, a layer's keys or values each, as one vector of `headDim` values a head and
 * token, [vectors, headDim].
 */
export type KvParts = { parts: number; headDim: number; type: KvType };

export const sourceName = (part: number): string => `source.${part}`;
export const targetName = (part: number): string => `target.${part}`;
/** Meant to be the very memory of the target. */
export const writtenName = (part: number): string => `written.${part}`;

/**
 * Copies vectors `from` [n] of each source over vectors `to` [n,1] of its target. All are read before any is written, so source and target
 * may be the same.
 */
export function buildKvMove(shape: KvParts): Graph {
  const builder = new GraphBuilder("kv-move");
  const from = builder.input("from", "int64", ["n"]);
  const to = builder.input("to", "int64", ["n", 1]);
  for (const part of partsOf(shape)) {
    const source = builder.input(sourceName(part), shape.type, ["sources", shape.headDim]);
    scatter(builder, shape, part, to, builder.node("Gather", `moved.${part}`, [source, from]));
  }
  return builder.finish();
}

/** Collects vectors `from` [n] of each source in `vectors` float32 [parts · n, headDim]. */
export function buildKvRead(shape: KvParts): Graph {
  const builder = new GraphBuilder("kv-read");
  const from = builder.input("from", "int64", ["n"]);
  const read = partsOf(shape).map((part) => {
    const source = builder.input(sourceName(part), shape.type, ["sources", shape.headDim]);
    return builder.node("Gather", `read.${part}`, [source, from]);
  });
  const all = builder.node("Concat", "all", read, { attributes: { axis: int(0) } });
  builder.output(builder.cast("cast", all, "float32"), "vectors", "float32", ["all", shape.headDim]);
  return builder.finish();
}

/** The reverse: writes `vectors` float32 [parts, n, headDim] over vectors `to` [n,1] of each target. */
export function buildKvWrite(shape: KvParts): Graph {
  const builder = new GraphBuilder("kv-write");
  const to = builder.input("to", "int64", ["n", 1]);
  const vectors = builder.input("vectors", "float32", [shape.parts, "n", shape.headDim]);
  const all = builder.cast("cast", vectors, shape.type);
  for (const part of partsOf(shape)) {
    const index = builder.constant(`part.${part}`, "int64", [], BigInt64Array.of(BigInt(part)));
    scatter(builder, shape, part, to, builder.node("Gather", `new.${part}`, [all, index]));
  }
  return builder.finish();
}

/** Fills `cleared` with as many zeros as `size` int64 [1] says. */
export function buildKvClear({ type }: KvParts): Graph {
  const builder = new GraphBuilder("kv-clear");
  const size = builder.input("size", "int64", [1]);
  const zero = builder.cast("zero", builder.constant("float32.zero", "float32", [1], Float32Array.of(0)), type);
  builder.output(builder.node("Expand", "zeros", [zero, size]), "cleared", type, ["size"]);
  return builder.finish();
}

const partsOf = ({ parts }: KvParts): number[] => Array.from({ length: parts }, (_, part) => part);

function scatter(builder: GraphBuilder, { type, headDim }: KvParts, part: number, to: Value, vectors: Value): void {
  const shape = ["targets", headDim];
  const target = builder.input(targetName(part), type, shape);
  builder.output(builder.node("ScatterND", `scatter.${part}`, [target, to, vectors]), writtenName(part), type, shape);
}
