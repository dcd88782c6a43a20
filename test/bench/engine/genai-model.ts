import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { float, GraphBuilder, int } from "../../../gpu-worker/graph/builder.ts";
import type { DecoderConfig } from "../../../gpu-worker/graph/decoder.ts";
import type { Graph, Value } from "../../../gpu-worker/graph/graph.ts";
import {
  type Build,
  embedding,
  gatedMlp,
  linear,
  MICROSOFT,
  residualNorm,
  type WeightSource,
} from "../../../gpu-worker/graph/layers.ts";
import { rotaryTable } from "../../../gpu-worker/graph/rotary.ts";
import { serialiseGraph } from "../../../gpu-worker/graph/serialise.ts";

/** TensorProto.DataType. */
const INT32 = 6;

/** The largest context a cell needs; a shared key/value buffer is as long. */
const CONTEXT = 2048;

/** Which file transformers.js takes for `dtype: "q8"`; ONNX Runtime GenAI is told its name. */
const MODEL_FILE = join("onnx", "model_quantized.onnx");
const WEIGHTS_FILE = "model_quantized.onnx_data";

/**
 * The decoder as ONNX Runtime GenAI's own model builder lays it out: GroupQueryAttention over past and present keys and values, and
 * logits of the last token only. Same int8 weights as ours.
 */
function groupQueryDecoder(config: DecoderConfig, source: WeightSource): Graph {
  const { heads, kvHeads, headDim, hidden, vocab } = config;
  const builder = new GraphBuilder("decoder");
  const build: Build = { builder, config, source, layout: "int8-blocks", kvType: "float32" };
  const ids = builder.input("input_ids", "int64", ["batch_size", "sequence_length"]);
  const mask = builder.input("attention_mask", "int64", ["batch_size", "total_sequence_length"]);
  const pastShape = ["batch_size", kvHeads, "past_sequence_length", headDim];
  const lengths = maskLengths(builder, mask);
  const table = (name: string, wave: (angle: number) => number) =>
    builder.weight(name, "float32", [config.contextLength, headDim / 2], async () => rotaryTable(config, wave));
  const tables = [table("rotary.cos", Math.cos), table("rotary.sin", Math.sin)];

  const { hidden: embedded, head } = embedding(build, ids);
  let residual = embedded;
  let delta: Value | null = null;
  const presents: { name: string; value: Value }[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `model.layers.${layer}`;
    const past = ["key", "value"].map((kind) =>
      builder.input(`past_key_values.${layer}.${kind}`, "float32", pastShape),
    );
    const before = residualNorm(build, `${name}.input_layernorm`, residual, delta);
    const qkv = linear(
      build,
      `${name}.qkv`,
      "normed",
      before.normed,
      { inputs: hidden, outputs: (heads + 2 * kvHeads) * headDim },
      ["q_proj", "k_proj", "v_proj"].map((projection) => `${name}.self_attn.${projection}`),
    );
    const none = { name: "" };
    const [mixed, key, value] = builder.nodes(
      "GroupQueryAttention",
      `${name}.attention`,
      [qkv, none, none, ...past, ...lengths, ...tables],
      ["mixed", "key", "value"],
      {
        domain: MICROSOFT,
        attributes: {
          num_heads: int(heads),
          kv_num_heads: int(kvHeads),
          scale: float(1 / Math.sqrt(headDim)),
          do_rotary: int(1),
        },
      },
    );
    const attention = linear(build, `${name}.o`, "inner", mixed, { inputs: heads * headDim, outputs: hidden }, [
      `${name}.self_attn.o_proj`,
    ]);
    const between = residualNorm(build, `${name}.post_attention_layernorm`, before.sum, attention);
    delta = gatedMlp(build, `${name}.mlp`, between.normed);
    residual = between.sum;
    presents.push({ name: `present.${layer}.key`, value: key }, { name: `present.${layer}.value`, value });
  }
  const last = builder.integers("last", [-1]);
  const ofLast = (name: string, value: Value) =>
    builder.node("Gather", name, [value, last], { attributes: { axis: int(1) } });
  const lastDelta = delta === null ? null : ofLast("last.delta", delta);
  const { normed } = residualNorm(build, "model.norm", ofLast("last.residual", residual), lastDelta);
  builder.output(head(normed), "logits", "float32", ["batch_size", 1, vocab]);
  for (const { name, value } of presents)
    builder.output(value, name, "float32", ["batch_size", kvHeads, "total_sequence_length", headDim]);
  return builder.finish();
}

/** [tokens of each row − 1, tokens of the longest], int32, as GroupQueryAttention wants them. */
function maskLengths(builder: GraphBuilder, mask: Value): Value[] {
  const cast = (name: string, value: Value) => builder.node("Cast", name, [value], { attributes: { to: int(INT32) } });
  const one = builder.integers("one", [1]);
  const counts = builder.node("ReduceSum", "mask.count", [mask, one], { attributes: { keepdims: int(0) } });
  const total = builder.node("Gather", "mask.total", [
    builder.node("Shape", "mask.shape", [mask]),
    builder.constant("second", "int64", [], BigInt64Array.of(1n)),
  ]);
  return [cast("lengths", builder.node("Sub", "mask.last", [counts, one])), cast("total", total)];
}

/** Writes that decoder, and what the two libraries want beside it, into `directory`, which has a folder `onnx`. */
export async function writeGenaiModel(
  directory: string,
  config: DecoderConfig,
  source: WeightSource,
  threads: number,
): Promise<void> {
  const weights = await open(join(directory, "onnx", WEIGHTS_FILE), "w");
  let end = 0;
  const graph = await serialiseGraph(groupQueryDecoder(config, source), async (bytes) => {
    const offset = Math.ceil(end / 4096) * 4096;
    await weights.write(bytes, 0, bytes.length, offset);
    end = offset + bytes.length;
    return { location: WEIGHTS_FILE, offset };
  });
  await weights.close();
  await writeFile(join(directory, MODEL_FILE), graph);
  const files = { "genai_config.json": genaiConfig(config, threads), "config.json": huggingFaceConfig(config) };
  for (const [name, value] of Object.entries(files)) await writeFile(join(directory, name), JSON.stringify(value));
  await writeFile(join(directory, "generation_config.json"), "{}");
}

function genaiConfig(config: DecoderConfig, threads: number) {
  return {
    model: {
      type: "llama",
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: 2,
      context_length: CONTEXT,
      vocab_size: config.vocab,
      decoder: {
        session_options: { intra_op_num_threads: threads, inter_op_num_threads: 1, provider_options: [] },
        filename: MODEL_FILE,
        head_size: config.headDim,
        hidden_size: config.hidden,
        num_attention_heads: config.heads,
        num_hidden_layers: config.layers,
        num_key_value_heads: config.kvHeads,
        inputs: {
          input_ids: "input_ids",
          attention_mask: "attention_mask",
          past_key_names: "past_key_values.%d.key",
          past_value_names: "past_key_values.%d.value",
        },
        outputs: { logits: "logits", present_key_names: "present.%d.key", present_value_names: "present.%d.value" },
      },
    },
    search: { max_length: CONTEXT, past_present_share_buffer: true },
  };
}

/** Without end tokens, so that nothing ends an answer early. */
function huggingFaceConfig(config: DecoderConfig) {
  return {
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
    pad_token_id: 0,
    "transformers.js_config": { use_external_data_format: true },
  };
}
