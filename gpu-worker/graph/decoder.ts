import { attentionContext, splitAttention } from "./attention.ts";
import { GraphBuilder, int } from "./builder.ts";
import type { Graph, Value } from "./graph.ts";
import { type Build, embedding, gatedMlp, type Precision, residualNorm, type WeightSource } from "./layers.ts";
import { rotaryTable } from "./rotary.ts";

/** The shape of a llama-family decoder. Sizes are in elements, `contextLength` in tokens. */
export type DecoderConfig = {
  layers: number;
  hidden: number;
  heads: number;
  /** Key/value heads; fewer than `heads` is grouped-query attention. */
  kvHeads: number;
  /** Need not be `hidden / heads`. */
  headDim: number;
  /** Width of the gated feed-forward. */
  intermediate: number;
  vocab: number;
  contextLength: number;
  ropeTheta: number;
  /** What each pair's rotary frequency is divided by, [headDim / 2]; `null` where the model does not scale them. */
  ropeDivisors: number[] | null;
  /** ε of every RMSNorm. */
  normEpsilon: number;
  /** Whether the output head is the embedding matrix. */
  tiedEmbeddings: boolean;
  /** Whether the query, key and value projections have biases. */
  qkvBias: boolean;
  /** Whether attention's output projection has a bias. */
  outputBias: boolean;
};

/** Rows of `new_kv`, in the order layer, key before value, kv head. */
export const kvRows = ({ layers, kvHeads }: Pick<DecoderConfig, "layers" | "kvHeads">): number => layers * 2 * kvHeads;

/** Query heads that share one key/value head. */
export const queryGroups = ({ heads, kvHeads }: Pick<DecoderConfig, "heads" | "kvHeads">): number => heads / kvHeads;

export const pastName = (layer: number, kind: "key" | "value"): string => `past.${layer}.${kind}`;

/**
 * The split-attention decoder: past keys and values are plain inputs that stay where TypeScript keeps them, and the graph returns
 * only the rows it computed, so nothing old is ever copied. Ragged batches, chunked prefill and decoding are the same graph.
 *
 * Inputs (B rows, S new tokens each, P slots of past, N wanted logits, G query heads a key head):
 * `input_ids`, `position_ids` int64 [B,S] · `mask` float32 [B,1,G·S,P+S], added to the scores, query groups outermost ·
 * `logit_rows` int64 [N], indexes into the B·S tokens · `past.{l}.key|value` float32 [B,kvHeads,P,headDim].
 * Outputs: `logits` float32 [N,vocab] · `new_kv` float32 [B,kvRows,S,headDim], keys after rotation.
 */
export function buildDecoder(config: DecoderConfig, source: WeightSource, precision: Precision): Graph {
  const builder = new GraphBuilder("decoder");
  const build: Build = { builder, config, source, precision };
  const ids = builder.input("input_ids", "int64", ["batch", "sequence"]);
  const positions = builder.input("position_ids", "int64", ["batch", "sequence"]);
  const mask = builder.input("mask", "float32", ["batch", 1, "queries", "total"]);
  const logitRows = builder.input("logit_rows", "int64", ["wanted"]);
  const pastShape = ["batch", config.kvHeads, "past", config.headDim];
  const pasts = Array.from({ length: config.layers }, (_, layer) => ({
    key: builder.input(pastName(layer, "key"), "float32", pastShape),
    value: builder.input(pastName(layer, "value"), "float32", pastShape),
  }));
  const [firstPast] = pasts;
  if (firstPast === undefined) throw new Error("A decoder needs at least one layer");
  const context = attentionContext(build, { ids, positions, mask, firstPast, tables: rotaryConstants(build) });

  const { hidden, head } = embedding(build, ids);
  let residual = hidden;
  let delta: Value | null = null;
  const newRows: Value[] = [];
  for (const [layer, past] of pasts.entries()) {
    const name = `model.layers.${layer}`;
    const before = residualNorm(build, `${name}.input_layernorm`, residual, delta);
    const attention = splitAttention(build, `${name}.self_attn`, before.normed, past, context);
    const between = residualNorm(build, `${name}.post_attention_layernorm`, before.sum, attention.output);
    delta = gatedMlp(build, `${name}.mlp`, between.normed);
    residual = between.sum;
    newRows.push(attention.key, attention.value);
  }

  const flat = builder.integers("shape.flat", [-1, config.hidden]);
  const wanted = (name: string, value: Value) =>
    builder.node("Gather", name, [builder.node("Reshape", `${name}.flat`, [value, flat]), logitRows]);
  const wantedDelta = delta === null ? null : wanted("wanted.delta", delta);
  const { normed } = residualNorm(build, "model.norm", wanted("wanted.residual", residual), wantedDelta);
  builder.output(head(normed), "logits", "float32", ["wanted", config.vocab]);
  const rows = builder.node("Concat", "new_rows", newRows, { attributes: { axis: int(1) } });
  builder.output(rows, "new_kv", "float32", ["batch", kvRows(config), "sequence", config.headDim]);
  return builder.finish();
}

function rotaryConstants({ builder, config }: Build): { cos: Value; sin: Value } {
  const shape = [config.contextLength, config.headDim / 2];
  return {
    cos: builder.weight("rotary.cos", "float32", shape, async () => rotaryTable(config, Math.cos)),
    sin: builder.weight("rotary.sin", "float32", shape, async () => rotaryTable(config, Math.sin)),
  };
}
