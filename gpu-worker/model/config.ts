import type { Gguf } from "./gguf.ts";

/** The shape of a Llama decoder, as far as a graph needs it. All sizes in elements, the context in tokens. */
export type DecoderConfig = {
  layers: number;
  hidden: number;
  heads: number;
  /** Key/value heads; fewer than `heads` is grouped-query attention. */
  kvHeads: number;
  headDim: number;
  /** Width of the gated feed-forward. */
  intermediate: number;
  vocab: number;
  contextLength: number;
  ropeTheta: number;
  /** ε of every RMSNorm. */
  normEpsilon: number;
  /** Whether the output projection is the token embedding. */
  tiedEmbeddings: boolean;
};

/** llama.cpp's default where the file gives no rope base. */
const DEFAULT_ROPE_THETA = 10_000;

/**
 * Reads the decoder's shape off a GGUF of architecture `llama`.
 *
 * @throws Error for another architecture, a variant the graph does not compute (scaled rope, partial rope, biases, experts), or
 * missing and contradictory metadata
 */
export function readDecoderConfig(gguf: Gguf): DecoderConfig {
  const { metadata, path } = gguf;
  const architecture = metadata.string("general.architecture");
  if (architecture !== "llama") {
    throw new Error(`${path} holds a model of architecture ${architecture}; supported is llama.`);
  }
  refuseVariants(gguf);
  const optional = (key: string, fallback: number) => (metadata.has(key) ? metadata.number(key) : fallback);
  const hidden = metadata.number("llama.embedding_length");
  const heads = metadata.number("llama.attention.head_count");
  const headDim = optional("llama.attention.key_length", hidden / heads);
  const config: DecoderConfig = {
    layers: metadata.number("llama.block_count"),
    hidden,
    heads,
    kvHeads: optional("llama.attention.head_count_kv", heads),
    headDim,
    intermediate: metadata.number("llama.feed_forward_length"),
    vocab: gguf.shape("token_embd.weight")[0] ?? 0,
    contextLength: metadata.number("llama.context_length"),
    ropeTheta: optional("llama.rope.freq_base", DEFAULT_ROPE_THETA),
    normEpsilon: metadata.number("llama.attention.layer_norm_rms_epsilon"),
    tiedEmbeddings: !gguf.has("output.weight"),
  };
  if (
    !Number.isInteger(headDim) ||
    headDim % 2 !== 0 ||
    config.heads % config.kvHeads !== 0 ||
    optional("llama.attention.value_length", headDim) !== headDim
  ) {
    throw new Error(
      `${path}: ${heads} heads, ${config.kvHeads} key/value heads and width ${hidden} do not fit together.`,
    );
  }
  if (optional("llama.rope.dimension_count", headDim) !== headDim) {
    throw new Error(`${path} rotates only a part of each head, which is not supported.`);
  }
  return config;
}

/** Variants that would load and then compute something else than the model. */
function refuseVariants(gguf: Gguf): void {
  const { metadata, path } = gguf;
  const scaling = "llama.rope.scaling.type";
  if (gguf.has("rope_freqs.weight") || (metadata.has(scaling) && metadata.string(scaling) !== "none")) {
    throw new Error(`${path} scales its rotary frequencies (as Llama 3.1 and later do), which is not supported.`);
  }
  if (metadata.has("llama.expert_count") && metadata.number("llama.expert_count") > 0) {
    throw new Error(`${path} is a mixture of experts, which is not supported.`);
  }
  const bias = gguf.tensorNames.find((name) => name.endsWith(".bias"));
  if (bias !== undefined) throw new Error(`${path} has biases (${bias}), which are not supported.`);
}
