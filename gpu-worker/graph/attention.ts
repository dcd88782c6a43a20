import { float, int, ints } from "./builder.ts";
import type { Value } from "./graph.ts";
import { type Build, linear, MICROSOFT } from "./layers.ts";

/** What all layers' attention shares: inputs of the graph, rotation tables and shapes. */
export type AttentionContext = {
  positions: Value;
  mask: Value;
  cos: Value;
  sin: Value;
  /** [P, S]: where the columns of the attention weights change from past to new. */
  segments: Value;
  /** Target shapes of reshapes; 0 keeps a dimension, -1 infers it. */
  shapes: { split: Value; grouped: Value; ungrouped: Value; merged: Value };
  /** Sizes along the head axis. */
  sizes: { queryKeyValue: Value; queryKey: Value };
};

export type Past = { key: Value; value: Value };

/** Graph-wide constants and inputs that {@link splitAttention} needs. */
export function attentionContext(
  { builder, config }: Build,
  inputs: { ids: Value; positions: Value; mask: Value; firstPast: Past; tables: { cos: Value; sin: Value } },
): AttentionContext {
  const { heads, kvHeads, headDim } = config;
  const sizeOf = (name: string, value: Value, axis: number) =>
    builder.node("Shape", name, [value], { attributes: { start: int(axis), end: int(axis + 1) } });
  const pastSize = sizeOf("segments.past", inputs.firstPast.key, 2);
  const newSize = sizeOf("segments.new", inputs.ids, 1);
  return {
    positions: inputs.positions,
    mask: inputs.mask,
    ...inputs.tables,
    segments: builder.node("Concat", "segments", [pastSize, newSize], { attributes: { axis: int(0) } }),
    shapes: {
      split: builder.integers("shape.split", [0, 0, heads + 2 * kvHeads, headDim]),
      grouped: builder.integers("shape.grouped", [0, kvHeads, -1, headDim]),
      ungrouped: builder.integers("shape.ungrouped", [0, heads, -1, headDim]),
      merged: builder.integers("shape.merged", [0, 0, heads * headDim]),
    },
    sizes: {
      queryKeyValue: builder.integers("sizes.query_key_value", [heads + kvHeads, kvHeads]),
      queryKey: builder.integers("sizes.query_key", [heads, kvHeads]),
    },
  };
}

/**
 * softmax([Q·Kpastᵀ | Q·Knewᵀ] + mask) · [Vpast ; Vnew], with the query heads that share a key head folded into the query axis.
 *
 * @returns the layer's output [B,S,hidden] and its new key (rotated) and value, [B,kvHeads,S,headDim] each.
 */
export function splitAttention(build: Build, name: string, input: Value, past: Past, context: AttentionContext) {
  const { builder, config } = build;
  const { hidden, heads, kvHeads, headDim } = config;
  const { shapes, sizes } = context;
  const node = (operator: string, suffix: string, inputs: Value[]) =>
    builder.node(operator, `${name}.${suffix}`, inputs);
  const split = (suffix: string, inputs: Value[], axis: number) =>
    builder.nodes("Split", `${name}.${suffix}`, inputs, ["first", "second"], { attributes: { axis: int(axis) } });
  const swapHeads = (suffix: string, value: Value) =>
    builder.node("Transpose", `${name}.${suffix}`, [value], { attributes: { perm: ints([0, 2, 1, 3]) } });
  const scoresAgainst = (suffix: string, query: Value, key: Value) =>
    builder.node("FusedMatMul", `${name}.${suffix}`, [query, key], {
      domain: MICROSOFT,
      attributes: { transB: int(1), alpha: float(1 / Math.sqrt(headDim)) },
    });

  const qkvShape = { inputs: hidden, outputs: (heads + 2 * kvHeads) * headDim };
  const qkvNames = ["q_proj", "k_proj", "v_proj"].map((projection) => `${name}.${projection}`);
  const qkv = linear(build, `${name}.qkv`, input, qkvShape, qkvNames, config.qkvBias);
  const byHead = swapHeads("by_head", node("Reshape", "split", [qkv, shapes.split]));
  const [queryKey, value] = split("query_key_value", [byHead, sizes.queryKeyValue], 1);
  const rotated = builder.node(
    "RotaryEmbedding",
    `${name}.rotary`,
    [queryKey, context.positions, context.cos, context.sin],
    {
      domain: MICROSOFT,
    },
  );
  const [query, key] = split("query_key", [rotated, sizes.queryKey], 1);
  const grouped = node("Reshape", "grouped", [query, shapes.grouped]);

  const scores = builder.node(
    "Concat",
    `${name}.scores`,
    [scoresAgainst("past_scores", grouped, past.key), scoresAgainst("new_scores", grouped, key)],
    { attributes: { axis: int(3) } },
  );
  const weights = builder.node("Softmax", `${name}.weights`, [node("Add", "masked", [scores, context.mask])], {
    attributes: { axis: int(3) },
  });
  const [pastWeights, newWeights] = split("segments", [weights, context.segments], 3);
  const mixed = node("Add", "mixed", [
    node("MatMul", "past_mix", [pastWeights, past.value]),
    node("MatMul", "new_mix", [newWeights, value]),
  ]);
  const merged = node("Reshape", "merged", [
    swapHeads("by_token", node("Reshape", "ungrouped", [mixed, shapes.ungrouped])),
    shapes.merged,
  ]);
  const outputShape = { inputs: heads * headDim, outputs: hidden };
  const output = linear(build, `${name}.o`, merged, outputShape, [`${name}.o_proj`], config.outputBias);
  return { output, key, value };
}
