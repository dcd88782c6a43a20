import { BankBuilder } from "./adapter-bank.ts";
import { type AttentionContext, groupedQueryAttention, rotaryConstants } from "./attention.ts";
import { GraphBuilder } from "./builder.ts";
import type { Graph, Value } from "./graph.ts";
import { type Build, embedding, gatedMlp, residualNorm, type WeightSource } from "./layers.ts";
import type { KvType, WeightLayout } from "./precision.ts";
import { rotatedWeights } from "./rotated-weights.ts";

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

/** Key and value vectors of one token. */
export const kvRows = ({ layers, kvHeads }: Pick<DecoderConfig, "layers" | "kvHeads">): number => layers * 2 * kvHeads;

export const pastName = (layer: number, kind: "key" | "value"): string => `past.${layer}.${kind}`;
export const presentName = (layer: number, kind: "key" | "value"): string => `present.${layer}.${kind}`;

/**
 * The decoder over keys and values that stay where they are: every layer's `present` is meant to be the very memory of its `past`, so a
 * pass writes the new rows behind the old ones and copies nothing. Decoding ragged batches and reading a prompt piece by piece are
 * the same graph.
 *
 * Inputs (B rows, S new tokens each, room for P tokens, N wanted logits): `input_ids` int64 [B,S] · `last_positions` int32 [B], tokens of
 * each row after this pass less one · `longest` int32 scalar, the most of them plus one · `logit_rows` int64 [N], indexes into the B·S
 * tokens · `past.{l}.key|value` kvType [B,kvHeads,P,headDim].
 * Outputs: `logits` float32 [N,vocab] · `present.{l}.key|value`, as past, keys after rotation.
 */
export function buildDecoder(
  config: DecoderConfig,
  source: WeightSource,
  layout: WeightLayout,
  options: DecoderOptions = {},
): Graph {
  const { adapterBank = false, kvType = "float32" } = options;
  if (layout !== "int8-channels") return assemble({ config, source, layout, kvType }, adapterBank);
  const untied = { ...config, tiedEmbeddings: false };
  return assemble({ config: untied, source: rotatedWeights(source, config), layout, kvType }, adapterBank);
}

export type DecoderOptions = {
  /** Whether rows may have adapters, whose matrices are inputs then (adapter-bank.ts). */
  adapterBank?: boolean | undefined;
  kvType?: KvType | undefined;
};

function assemble(model: Omit<Build, "builder" | "bank">, adapterBank: boolean): Graph {
  const { config } = model;
  const builder = new GraphBuilder("decoder");
  const build: Build = { builder, ...model, bank: adapterBank ? new BankBuilder(builder, config) : undefined };
  const ids = builder.input("input_ids", "int64", ["batch", "sequence"]);
  const context: AttentionContext = {
    lastPositions: builder.input("last_positions", "int32", ["batch"]),
    longest: builder.input("longest", "int32", []),
    ...rotaryConstants(build),
  };
  const logitRows = builder.input("logit_rows", "int64", ["wanted"]);
  const kvShape = ["batch", config.kvHeads, "room", config.headDim];

  const { hidden, head } = embedding(build, ids);
  let residual = hidden;
  let delta: Value | null = null;
  const presents: { name: string; value: Value }[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `model.layers.${layer}`;
    const past = {
      key: builder.input(pastName(layer, "key"), model.kvType, kvShape),
      value: builder.input(pastName(layer, "value"), model.kvType, kvShape),
    };
    const before = residualNorm(build, `${name}.input_layernorm`, residual, delta);
    const attention = groupedQueryAttention(build, `${name}.self_attn`, before, past, context);
    const between = residualNorm(build, `${name}.post_attention_layernorm`, before.sum, attention.output);
    delta = gatedMlp(build, `${name}.mlp`, between.normed, between.exact);
    residual = between.sum;
    presents.push(
      { name: presentName(layer, "key"), value: attention.key },
      { name: presentName(layer, "value"), value: attention.value },
    );
  }

  const flat = builder.integers("shape.flat", [-1, config.hidden]);
  const wanted = (name: string, value: Value) =>
    builder.node("Gather", name, [builder.node("Reshape", `${name}.flat`, [value, flat]), logitRows]);
  const wantedDelta = delta === null ? null : wanted("wanted.delta", delta);
  const { normed } = residualNorm(build, "model.norm", wanted("wanted.residual", residual), wantedDelta);
  builder.output(head(normed), "logits", "float32", ["wanted", config.vocab]);
  for (const { name, value } of presents) builder.output(value, name, model.kvType, kvShape);
  return builder.finish();
}
