import { float, GraphBuilder, int, ints } from "../builder.ts";
import type { DecoderConfig } from "../decoder.ts";
import { productOf } from "../gradient/shape.ts";
import type { Graph, GraphNode, Value } from "../graph.ts";
import { type Build, embedding, MICROSOFT, residualNorm, type WeightSource } from "../layers.ts";
import type { Precision } from "../precision.ts";
import { rotaryTable } from "../rotary.ts";
import { rotatedWeights } from "../rotated-weights.ts";
import { FrozenLayers, type Read } from "./frozen-layers.ts";
import { type Lora, LoraLayers, type Projected } from "./lora.ts";
import { LoraBasis } from "./lora-basis.ts";
import type { Purpose } from "./step.ts";

/** What is trained: the model's shape, its weights, which stay as they are, and the adapter's. */
export type TrainedModel = { config: DecoderConfig; source: WeightSource; lora: Lora };

/** A decoder over whole rows at once, without a cache of keys and values, as far as the tokens whose states are wanted. */
export type TrainingDecoder = {
  build: Build;
  /** Normalised hidden states of the wanted tokens, [N, hidden]; in a basis of their own where the model computes in int8. */
  wanted: Value;
  /** Logits of the wanted tokens, [N, vocab]. */
  logits: () => Value;
  /** Nodes to differentiate instead of those that make the same values. */
  standIns: readonly GraphNode[];
  graph: () => Graph;
};

/**
 * Inputs (B rows of S tokens, N wanted): `input_ids`, `positions` int64 [B,S] · `mask` float32 [B,1,S·heads/kvHeads,S], 0 where a query may
 * look, else −∞: query heads that share a key head lie below each other, so each token's row is repeated · `wanted` int64 [N], indexes
 * into the B·S tokens · the adapter's matrices.
 *
 * @param precision of the model's own matrices: float32, or int8 as they are served where processors sum products of bytes in 32 bits
 */
export function trainingDecoder(model: TrainedModel, purpose: Purpose, precision: Precision): TrainingDecoder {
  const { config, lora } = model;
  const builder = new GraphBuilder("training step");
  const build = buildOf(model, builder, precision);
  const frozen = new FrozenLayers(build, purpose);
  const basis = precision === "int8" ? new LoraBasis(builder, config, model.source) : null;
  const layers = new LoraLayers(build, lora, frozen, basis);
  const ids = builder.input("input_ids", "int64", ["batch", "sequence"]);
  const group = config.heads / config.kvHeads;
  const positions = builder.input("positions", "int64", ["batch", "sequence"]);
  const mask = builder.input("mask", "float32", ["batch", 1, productOf([group, "sequence"]), "sequence"]);
  const wanted = builder.input("wanted", "int64", ["wanted"]);
  const attention = attentionOf(build, positions, mask);
  const inner = (value: Value): Read => ({ norm: null, input: value, exact: value });
  const norm = (name: string, value: Value): Read => {
    const { normed, exact } = residualNorm(build, name, value, null);
    return { norm: name, input: normed, exact };
  };

  const { hidden, head } = embedding(build, ids);
  let residual = hidden;
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `model.layers.${layer}`;
    const before = norm(`${name}.input_layernorm`, residual);
    const projected = layers.project(`${name}.self_attn.q_proj`, before, "inner", config.qkvBias);
    const mixed = attention(`${name}.self_attn`, projected);
    const output = layers.project(`${name}.self_attn.o_proj`, inner(mixed), "residual", config.outputBias)("o_proj");
    const between = builder.node("Add", `${name}.attended`, [residual, output]);
    const normed = norm(`${name}.post_attention_layernorm`, between);
    const widened = layers.project(`${name}.mlp.gate_proj`, normed, "inner", false);
    const activated = builder.node("QuickGelu", `${name}.mlp.silu`, [widened("gate_proj")], {
      domain: MICROSOFT,
      attributes: { alpha: float(1) },
    });
    const gated = builder.node("Mul", `${name}.mlp.gated`, [activated, widened("up_proj")]);
    const delta = layers.project(`${name}.mlp.down_proj`, inner(gated), "residual", false)("down_proj");
    residual = builder.node("Add", `${name}.output`, [between, delta]);
  }
  const tokens = builder.node("Reshape", "tokens", [residual, builder.integers("tokens.shape", [-1, config.hidden])]);
  const last = norm("model.norm", builder.node("Gather", "wanted.rows", [tokens, wanted]));
  const vocabulary = { module: "lm_head", inputs: config.hidden, outputs: config.vocab, hasBias: false };
  return {
    build,
    wanted: last.exact,
    logits: () => (build.config.tiedEmbeddings ? head(last.exact) : frozen.logits(last, vocabulary)),
    standIns: frozen.standIns,
    graph: () => builder.finish(),
  };
}

function buildOf({ config, source }: TrainedModel, builder: GraphBuilder, precision: Precision): Build {
  if (precision === "fp32") return { builder, config, source, layout: "fp32", kvType: "float32" };
  const untied = { ...config, tiedEmbeddings: false };
  return {
    builder,
    config: untied,
    source: rotatedWeights(source, config),
    layout: "int8-channels",
    kvType: "float32",
  };
}

/** softmax(Q · Kᵀ / √d + mask) · V, where query heads that share a key head are rows of one product. */
function attentionOf({ builder, config }: Build, positions: Value, mask: Value) {
  const { heads, kvHeads, headDim, contextLength } = config;
  const shape = [contextLength, headDim / 2];
  const table = (name: string, wave: (angle: number) => number) =>
    builder.weight(name, "float32", shape, async () => rotaryTable(config, wave));
  const rotary = [positions, table("rotary.cos", Math.cos), table("rotary.sin", Math.sin)];
  const reshape = (name: string, value: Value, ...target: number[]) =>
    builder.node("Reshape", name, [value, builder.sharedIntegers(`shape.${target}`, target)]);
  const swapped = (name: string, value: Value) =>
    builder.node("Transpose", name, [value], { attributes: { perm: ints(0, 2, 1, 3) } });
  /** [B,S,kvHeads · width] as [B,kvHeads,S,width]. */
  const byHead = (name: string, value: Value, width: number) =>
    swapped(`${name}.swapped`, reshape(`${name}.heads`, value, 0, 0, kvHeads, width));
  const product = (name: string, a: Value, b: Value, transB: number, alpha: number) =>
    builder.node("FusedMatMul", name, [a, b], {
      domain: MICROSOFT,
      attributes: { transB: int(transB), alpha: float(alpha) },
    });

  return (name: string, projected: Projected): Value => {
    const rotated = (part: "q" | "k") => {
      const values = [projected(`${part}_proj`), ...rotary];
      return builder.node("RotaryEmbedding", `${name}.${part}.rotated`, values, { domain: MICROSOFT });
    };
    const queries = byHead(`${name}.q`, rotated("q"), (heads / kvHeads) * headDim);
    const grouped = reshape(`${name}.q.grouped`, queries, 0, 0, -1, headDim);
    const keys = byHead(`${name}.k`, rotated("k"), headDim);
    const values = byHead(`${name}.v`, projected("v_proj"), headDim);
    const scores = product(`${name}.scores`, grouped, keys, 1, 1 / Math.sqrt(headDim));
    const masked = builder.node("Add", `${name}.masked`, [scores, mask]);
    const shares = builder.node("Softmax", `${name}.shares`, [masked], { attributes: { axis: int(-1) } });
    const mixed = builder.node("MatMul", `${name}.mixed`, [shares, values]);
    const ungrouped = reshape(`${name}.ungrouped`, mixed, 0, kvHeads, -1, (heads / kvHeads) * headDim);
    return reshape(`${name}.joined`, swapped(`${name}.swapped`, ungrouped), 0, 0, heads * headDim);
  };
}
