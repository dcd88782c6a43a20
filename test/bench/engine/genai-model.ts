import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type AttentionContext, groupedQueryAttention, rotaryConstants } from "../../../gpu-worker/graph/attention.ts";
import { GraphBuilder, int } from "../../../gpu-worker/graph/builder.ts";
import { type DecoderConfig, presentName } from "../../../gpu-worker/graph/decoder.ts";
import type { Graph, Value } from "../../../gpu-worker/graph/graph.ts";
import { type Build, embedding, gatedMlp, residualNorm, type WeightSource } from "../../../gpu-worker/graph/layers.ts";
import { serialiseGraph } from "../../../gpu-worker/graph/serialise.ts";
import { llamaConfig } from "../llama-config.ts";

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
  const { kvHeads, headDim, vocab } = config;
  const builder = new GraphBuilder("decoder");
  const build: Build = { builder, config, source, layout: "int8-blocks", kvType: "float32" };
  const ids = builder.input("input_ids", "int64", ["batch_size", "sequence_length"]);
  const mask = builder.input("attention_mask", "int64", ["batch_size", "total_sequence_length"]);
  const pastShape = ["batch_size", kvHeads, "past_sequence_length", headDim];
  const context = { ...maskLengths(builder, mask), ...rotaryConstants(build) };

  const { hidden: embedded, head } = embedding(build, ids);
  let residual = embedded;
  let delta: Value | null = null;
  const presents: { name: string; value: Value }[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `model.layers.${layer}`;
    const past = {
      key: builder.input(`past_key_values.${layer}.key`, "float32", pastShape),
      value: builder.input(`past_key_values.${layer}.value`, "float32", pastShape),
    };
    const before = residualNorm(build, `${name}.input_layernorm`, residual, delta);
    const attention = groupedQueryAttention(build, `${name}.self_attn`, before, past, context);
    const between = residualNorm(build, `${name}.post_attention_layernorm`, before.sum, attention.output);
    delta = gatedMlp(build, `${name}.mlp`, between.normed);
    residual = between.sum;
    presents.push(
      { name: presentName(layer, "key"), value: attention.key },
      { name: presentName(layer, "value"), value: attention.value },
    );
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

/** What attention wants to know of the rows' lengths. */
function maskLengths(builder: GraphBuilder, mask: Value): Pick<AttentionContext, "lastPositions" | "longest"> {
  const one = builder.integers("one", [1]);
  const counts = builder.node("ReduceSum", "mask.count", [mask, one], { attributes: { keepdims: int(0) } });
  const total = builder.node("Gather", "mask.total", [
    builder.node("Shape", "mask.shape", [mask]),
    builder.constant("second", "int64", [], BigInt64Array.of(1n)),
  ]);
  const last = builder.node("Sub", "mask.last", [counts, one]);
  return { lastPositions: builder.cast("lengths", last, "int32"), longest: builder.cast("total", total, "int32") };
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
const huggingFaceConfig = (config: DecoderConfig) => ({
  ...llamaConfig(config),
  pad_token_id: 0,
  "transformers.js_config": { use_external_data_format: true },
});
