import { z } from "zod";
import type { DecoderConfig } from "../graph/decoder.ts";
import { attentionBiases, checkSizes } from "./config-checks.ts";
import { parseJsonFile } from "./json-file.ts";
import { linearDivisors, llama3Divisors } from "./rope-scaling.ts";
import type { Safetensors } from "./safetensors.ts";

const size = z.int().positive();
const number = z.number().positive();

/** transformers 4 writes `type` in old files and `rope_type` in newer ones; transformers 5 puts `rope_theta` beside them. */
const ropeSchema = z.object({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: number.nullish(),
  factor: number.nullish(),
  low_freq_factor: number.nullish(),
  high_freq_factor: number.nullish(),
  original_max_position_embeddings: size.nullish(),
});
type Rope = z.infer<typeof ropeSchema>;

/** What a value must be, where another would make it another model than the graph computes. */
const only = <T extends string | number | boolean>(value: T) =>
  z.literal(value, { error: `only ${value} is supported` }).nullish();

const fileSchema = z.object({
  model_type: z.enum(["llama", "qwen2", "mistral"], { error: "only llama, qwen2 and mistral are supported" }),
  num_hidden_layers: size,
  hidden_size: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  intermediate_size: size,
  max_position_embeddings: size,
  rms_norm_eps: number,
  rope_theta: number.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  sliding_window: size.nullish(),
  use_sliding_window: z.boolean().nullish(),
  hidden_act: only("silu"),
  partial_rotary_factor: only(1),
  quantization_config: z.null({ error: "quantised weights are not supported; take the unquantised ones" }).optional(),
  bos_token_id: z.int().nullish(),
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
});

/** A config.json of the llama family, checked. */
export type JsonConfig = z.infer<typeof fileSchema>;

const DEFAULT_ROPE_THETA = 10_000;
const BIASES = ["q_proj", "k_proj", "v_proj", "o_proj"].map((projection) => `.self_attn.${projection}.bias`);

/** @throws Error that names the field that is missing, or would make it a model that the graph does not compute */
export function parseJsonConfig(path: string, text: string): JsonConfig {
  return parseJsonFile(path, text, fileSchema, "the configuration of a model that can be loaded");
}

/**
 * The decoder's shape, from a config.json and the weights it comes with.
 *
 * @throws Error where they contradict each other, or the rotary frequencies are scaled in a way that is not supported
 */
export function jsonDecoderConfig(path: string, json: JsonConfig, weights: Safetensors): DecoderConfig {
  const heads = json.num_attention_heads;
  const headDim = json.head_dim ?? json.hidden_size / heads;
  const layers = json.num_hidden_layers;
  const rope = json.rope_parameters ?? json.rope_scaling ?? {};
  const ropeTheta = rope.rope_theta ?? json.rope_theta ?? DEFAULT_ROPE_THETA;
  const [query = "", key = "", value = "", output = ""] = BIASES;
  const config: DecoderConfig = {
    layers,
    hidden: json.hidden_size,
    heads,
    kvHeads: json.num_key_value_heads ?? heads,
    headDim,
    intermediate: json.intermediate_size,
    vocab: weights.shape("model.embed_tokens.weight")[0] ?? 0,
    contextLength: Math.min(json.max_position_embeddings, slidingWindow(json) ?? Infinity),
    ropeTheta,
    ropeDivisors: ropeDivisors(path, rope, headDim, ropeTheta),
    normEpsilon: json.rms_norm_eps,
    // transformers leaves out what is its default, which changed.
    tiedEmbeddings: json.tie_word_embeddings ?? !weights.has("lm_head.weight"),
    ...attentionBiases(weights.tensorNames, [query, key, value, output], layers, path),
  };
  checkSizes(config, path);
  return config;
}

/** Within its window, sliding attention is full attention, so the context ends there. Qwen2 states a window that it does not use. */
function slidingWindow(json: JsonConfig): number | null {
  const isUsed = json.model_type === "mistral" || json.use_sliding_window === true;
  return isUsed ? (json.sliding_window ?? null) : null;
}

function ropeDivisors(path: string, rope: Rope, headDim: number, ropeTheta: number): number[] | null {
  const required = (field: keyof Rope): number => {
    const value = rope[field];
    if (typeof value === "number") return value;
    throw new Error(`${path} scales its rotary frequencies without saying ${field}.`);
  };
  const type = rope.rope_type ?? rope.type ?? "default";
  switch (type) {
    case "default":
      return null;
    case "linear":
      return linearDivisors(required("factor"), headDim);
    case "llama3": {
      const scaling = {
        factor: required("factor"),
        lowFreqFactor: required("low_freq_factor"),
        highFreqFactor: required("high_freq_factor"),
        originalContext: required("original_max_position_embeddings"),
      };
      return llama3Divisors(scaling, headDim, ropeTheta);
    }
    default:
      throw new Error(`${path} scales its rotary frequencies by ${type}; supported are linear and llama3.`);
  }
}
