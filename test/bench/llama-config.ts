import type { DecoderConfig } from "../../gpu-worker/graph/decoder.ts";

/** A model's shape as Hugging Face's `config.json` has it. */
export const llamaConfig = (config: DecoderConfig) => ({
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: config.vocab,
  hidden_size: config.hidden,
  intermediate_size: config.intermediate,
  num_hidden_layers: config.layers,
  num_attention_heads: config.heads,
  num_key_value_heads: config.kvHeads,
  head_dim: config.headDim,
  max_position_embeddings: config.contextLength,
});
