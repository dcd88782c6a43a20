import type { DecoderConfig } from "../graph/decoder.ts";
import { attentionBiases, checkSizes } from "./config-checks.ts";
import type { Gguf } from "./gguf.ts";
import { linearDivisors } from "./rope-scaling.ts";

/** GGUF's names of the families whose decoder is Llama's. Mistral's files say `llama`. */
const ARCHITECTURES = ["llama", "qwen2"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** llama.cpp's default where the file gives no rope base. */
const DEFAULT_ROPE_THETA = 10_000;

const BIASES = [".attn_q.bias", ".attn_k.bias", ".attn_v.bias", ".attn_output.bias"] as const;
const ROPE_FACTORS = "rope_freqs.weight";

/** @throws Error for an architecture that is not supported */
export function architectureOf({ metadata, path }: Gguf): Architecture {
  const architecture = metadata.string("general.architecture");
  const known = ARCHITECTURES.find((name) => name === architecture);
  if (known !== undefined) return known;
  throw new Error(
    `${path} holds a model of architecture ${architecture}; supported are ${ARCHITECTURES.join(" and ")}.`,
  );
}

/**
 * Reads the decoder's shape off a GGUF of the llama family.
 *
 * @throws Error for another architecture, a variant the graph does not compute (YaRN, partial rope, experts, biases elsewhere than in
 * attention), or missing and contradictory metadata
 */
export async function readDecoderConfig(gguf: Gguf): Promise<DecoderConfig> {
  const { metadata, path } = gguf;
  const architecture = architectureOf(gguf);
  const key = (name: string) => `${architecture}.${name}`;
  const required = (name: string) => metadata.number(key(name));
  const optional = (name: string, fallback: number) => (metadata.has(key(name)) ? required(name) : fallback);
  const hidden = required("embedding_length");
  const heads = required("attention.head_count");
  const headDim = optional("attention.key_length", hidden / heads);
  const layers = required("block_count");
  const config: DecoderConfig = {
    layers,
    hidden,
    heads,
    kvHeads: optional("attention.head_count_kv", heads),
    headDim,
    intermediate: required("feed_forward_length"),
    vocab: gguf.shape("token_embd.weight")[0] ?? 0,
    // Within its window, sliding attention is full attention.
    contextLength: Math.min(required("context_length"), optional("attention.sliding_window", 0) || Infinity),
    ropeTheta: optional("rope.freq_base", DEFAULT_ROPE_THETA),
    ropeDivisors: await readRopeDivisors(gguf, architecture, headDim),
    normEpsilon: required("attention.layer_norm_rms_epsilon"),
    tiedEmbeddings: !gguf.has("output.weight"),
    ...attentionBiases(gguf.tensorNames, BIASES, layers, path),
  };
  checkSizes(config, path);
  if (optional("attention.value_length", headDim) !== headDim) {
    throw new Error(`${path} has values of another size than its keys, which is not supported.`);
  }
  if (optional("rope.dimension_count", headDim) !== headDim) {
    throw new Error(`${path} rotates only a part of each head, which is not supported.`);
  }
  if (optional("expert_count", 0) > 0) throw new Error(`${path} is a mixture of experts, which is not supported.`);
  return config;
}

/** llama.cpp divides by both where a file has both: factors a pair (Llama 3.1 and later), and one for all. */
async function readRopeDivisors(gguf: Gguf, architecture: string, headDim: number): Promise<number[] | null> {
  const { metadata, path } = gguf;
  const scaling = `${architecture}.rope.scaling.type`;
  const type = metadata.has(scaling) ? metadata.string(scaling) : "linear";
  if (type !== "none" && type !== "linear") {
    throw new Error(`${path} scales its rotary frequencies by ${type}; supported are linear scaling and Llama 3's.`);
  }
  const keys = ["rope.scaling.factor", "rope.scale_linear"].map((name) => `${architecture}.${name}`);
  const key = keys.find((name) => metadata.has(name));
  // 0 stands for none.
  const factor = type === "none" || key === undefined ? 1 : metadata.number(key) || 1;
  if (!gguf.has(ROPE_FACTORS)) return linearDivisors(factor, headDim);
  return [...(await gguf.readFloat32(ROPE_FACTORS))].map((divisor) => divisor * factor);
}
