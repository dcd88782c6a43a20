import type { DecoderConfig } from "./decoder.ts";
import type { WeightSource } from "./layers.ts";
import { Rotation } from "./rotation.ts";

/** The norm whose output a matrix reads, by the end of the matrix' name. */
const READERS: Record<string, string> = {
  "self_attn.q_proj": "input_layernorm",
  "self_attn.k_proj": "input_layernorm",
  "self_attn.v_proj": "input_layernorm",
  "mlp.gate_proj": "post_attention_layernorm",
  "mlp.up_proj": "post_attention_layernorm",
};

/** What adds to the residual stream. */
const WRITERS = ["self_attn.o_proj", "mlp.down_proj"];

/**
 * The same model in another basis (rotation.ts): its residual stream is rotated, and every norm's factors have moved into the matrices
 * that read the norm, so they are 1. RMSNorm without factors commutes with a rotation, hence the outputs are the same. An output
 * head that was the embedding matrix is one of its own now.
 */
export function rotatedWeights(source: WeightSource, config: DecoderConfig): WeightSource {
  const rotation = new Rotation(config.hidden);
  const reader = async (matrix: Promise<Float32Array>, norm: string) =>
    rotation.rows(scaleColumns(await matrix, await source(`${norm}.weight`)));
  return async (name) => {
    if (name === "model.embed_tokens.weight") return rotation.rows(Float32Array.from(await source(name)));
    if (name === "lm_head.weight") {
      return reader(source(config.tiedEmbeddings ? "model.embed_tokens.weight" : name), "model.norm");
    }
    if (name.endsWith("norm.weight")) return new Float32Array(config.hidden).fill(1);
    const [, layer = "", module = "", part] = /^(model\.layers\.\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
    const norm = READERS[module];
    if (norm !== undefined && part === "weight") return reader(source(name), `${layer}.${norm}`);
    if (!WRITERS.includes(module)) return source(name);
    return part === "weight"
      ? rotation.columns(await source(name))
      : rotation.rows(Float32Array.from(await source(name)));
  };
}

/** A copy of a matrix [rows, factors] with each column multiplied. */
function scaleColumns(matrix: Float32Array, factors: Float32Array): Float32Array {
  return matrix.map((value, index) => value * (factors[index % factors.length] ?? 0));
}

/**
 * A low-rank update of one matrix in the same basis: A [rank, inputs] reads the residual stream as the matrix does, B [outputs, rank]
 * writes it so.
 *
 * @param source of the model's own weights
 * @param module the matrix' path, as `model.layers.0.self_attn.q_proj`
 */
export function rotatedUpdate(source: WeightSource, config: DecoderConfig, module: string) {
  const name = `${module}.weight`;
  const isWriter = WRITERS.some((writer) => module.endsWith(`.${writer}`));
  const rotated = (side: Float32Array) =>
    rotatedWeights(async (wanted) => (wanted === name ? side : source(wanted)), config)(name);
  return {
    down: async (A: Float32Array) => (isWriter ? A : rotated(A)),
    up: async (B: Float32Array) => (isWriter ? rotated(B) : B),
  };
}
