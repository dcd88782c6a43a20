import type { DecoderConfig } from "../graph/decoder.ts";
import type { WeightSource } from "../graph/layers.ts";
import { architectureOf } from "./config.ts";
import type { Gguf } from "./gguf.ts";
import { unpermuteRope } from "./rope-permutation.ts";

/** GGUF's tensor names for the parts of one layer, by Hugging Face name. */
const LAYER_TENSORS: Record<string, string> = {
  "input_layernorm.weight": "attn_norm.weight",
  "self_attn.q_proj.weight": "attn_q.weight",
  "self_attn.q_proj.bias": "attn_q.bias",
  "self_attn.k_proj.weight": "attn_k.weight",
  "self_attn.k_proj.bias": "attn_k.bias",
  "self_attn.v_proj.weight": "attn_v.weight",
  "self_attn.v_proj.bias": "attn_v.bias",
  "self_attn.o_proj.weight": "attn_output.weight",
  "self_attn.o_proj.bias": "attn_output.bias",
  "post_attention_layernorm.weight": "ffn_norm.weight",
  "mlp.gate_proj.weight": "ffn_gate.weight",
  "mlp.up_proj.weight": "ffn_up.weight",
  "mlp.down_proj.weight": "ffn_down.weight",
};

const MODEL_TENSORS: Record<string, string> = {
  "model.embed_tokens.weight": "token_embd.weight",
  "model.norm.weight": "output_norm.weight",
  "lm_head.weight": "output.weight",
};

/** GGUF's name of a tensor, by its Hugging Face name. @throws Error where there is none */
export function ggufName(name: string): string {
  const layer = /^model\.layers\.(\d+)\.(.+)$/.exec(name);
  const known = layer === null ? MODEL_TENSORS[name] : LAYER_TENSORS[layer[2] ?? ""];
  if (known === undefined) throw new Error(`No GGUF tensor corresponds to ${name}`);
  return layer === null ? known : `blk.${layer[1]}.${known}`;
}

/**
 * A GGUF's weights by Hugging Face name, float32, row-major, with query and key rows in half-split rotary order.
 *
 * llama.cpp's converter reorders those rows, and their biases, for the architecture `llama` only (`undo_permute` in its
 * conversion/llama.py; conversion/qwen.py leaves them).
 */
export function ggufWeights(gguf: Gguf, config: DecoderConfig): WeightSource {
  const isPermuted = architectureOf(gguf) === "llama";
  const headsOf: Record<string, number> = { q_proj: config.heads, k_proj: config.kvHeads };
  return async (name) => {
    const weight = await gguf.readFloat32(ggufName(name));
    const [, projection = "", part] = /\.(q_proj|k_proj)\.(weight|bias)$/.exec(name) ?? [];
    const heads = headsOf[projection];
    if (!isPermuted || heads === undefined) return weight;
    return unpermuteRope(weight, heads, config.headDim, part === "bias" ? 1 : config.hidden);
  };
}
