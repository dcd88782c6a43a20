import { float, int } from "./builder.ts";
import type { Value } from "./graph.ts";
import { adapted, type Build, linear, MICROSOFT } from "./layers.ts";
import { rotaryTable } from "./rotary.ts";

/** What all layers' attention shares: inputs of the graph and rotation tables. */
export type AttentionContext = {
  /** Tokens of each row after this pass less one, int32 [B]. */
  lastPositions: Value;
  /** Tokens of the longest row after this pass, int32 scalar. */
  longest: Value;
  cos: Value;
  sin: Value;
};

/** A layer's keys and values, [B,kvHeads,P,headDim]; P is the room there is, not what is used of it. */
export type Past = { key: Value; value: Value };

/**
 * Attention over what a row has in `past` and its new tokens, which are rotated to their positions and written behind what is there:
 * where `present` is given the same memory as `past`, nothing else is copied.
 *
 * Several rows with a past may bring one token each; with more tokens there is one row (onnxruntime 1.30).
 *
 * @param input normalised, with the same as float32 (`exact`)
 * @returns the layer's output, [B,S,hidden], and its keys and values with the new ones.
 */
export function groupedQueryAttention(
  build: Build,
  name: string,
  input: { normed: Value; exact: Value },
  past: Past,
  context: AttentionContext,
) {
  const { builder, config } = build;
  const { hidden, heads, kvHeads, headDim } = config;
  if (headDim % 16 !== 0) {
    throw new Error(`The model's heads have ${headDim} dimensions; onnxruntime rotates multiples of 16 only.`);
  }
  const qkvShape = { inputs: hidden, outputs: (heads + 2 * kvHeads) * headDim };
  const qkvNames = ["q_proj", "k_proj", "v_proj"].map((projection) => `${name}.${projection}`);
  const plain = linear(build, `${name}.qkv`, "normed", input.normed, qkvShape, qkvNames, config.qkvBias);
  const qkv = adapted(build, `${name}.qkv`, plain, input.exact, qkvNames);
  // Queries, keys and values come in one tensor, so the inputs for separate ones stay empty.
  const none = { name: "" };
  const [mixture, key, value] = builder.nodes(
    "GroupQueryAttention",
    `${name}.attention`,
    [
      toKvType(build, `${name}.cast`, qkv),
      none,
      none,
      past.key,
      past.value,
      context.lastPositions,
      context.longest,
      context.cos,
      context.sin,
    ],
    ["mixed", "key", "value"],
    {
      domain: MICROSOFT,
      attributes: {
        num_heads: int(heads),
        kv_num_heads: int(kvHeads),
        scale: float(1 / Math.sqrt(headDim)),
        do_rotary: int(1),
      },
    },
  );
  const mixed = build.kvType === "float32" ? mixture : builder.cast(`${name}.mixed`, mixture, "float32");
  const outputShape = { inputs: heads * headDim, outputs: hidden };
  const outputNames = [`${name}.o_proj`];
  const projected = linear(build, `${name}.o`, "inner", mixed, outputShape, outputNames, config.outputBias);
  const output = adapted(build, `${name}.o`, projected, mixed, outputNames);
  return { output, key, value };
}

/** A value in the type of keys and values, which is that of all that attention reads. */
const toKvType = ({ builder, kvType }: Build, name: string, value: Value): Value =>
  kvType === "float32" ? value : builder.cast(name, value, kvType);

/** Cosines and sines of every position, in the type that attention computes in. */
export function rotaryConstants(build: Build): { cos: Value; sin: Value } {
  const { builder, config } = build;
  const shape = [config.contextLength, config.headDim / 2];
  const table = (name: string, wave: (angle: number) => number) =>
    toKvType(
      build,
      `${name}.cast`,
      builder.weight(name, "float32", shape, async () => rotaryTable(config, wave)),
    );
  return { cos: table("rotary.cos", Math.cos), sin: table("rotary.sin", Math.sin) };
}
