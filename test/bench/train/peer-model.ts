import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bankSites } from "../../../gpu-worker/graph/adapter-bank.ts";
import type { DecoderConfig } from "../../../gpu-worker/graph/decoder.ts";
import { loraParameters } from "../../../gpu-worker/graph/training/lora.ts";
import type { Checkpoint } from "../../../gpu-worker/model/checkpoint.ts";
import { type StoredTensor, saveSafetensors } from "../../../gpu-worker/model/save-safetensors.ts";
import { ParameterSet } from "../../../gpu-worker/runtime/parameter-set.ts";
import { adapterMatrices } from "../../../gpu-worker/steerlm/training/adapter-matrices.ts";
import { llamaConfig } from "../llama-config.ts";
import { fillInitialAdapter, LORA } from "./adapter.ts";

/** A model and an adapter as transformers and PEFT read them. */
export type PeerModel = { base: string; adapter: string };

/** Writes what our side trains, weights dequantised and adapter, for the peer. @throws Error where the disk does not take it */
export async function writePeerModel(directory: string, { config, weights }: Checkpoint): Promise<PeerModel> {
  const peer = { base: join(directory, "base"), adapter: join(directory, "adapter") };
  await mkdir(peer.base, { recursive: true });
  await mkdir(peer.adapter, { recursive: true });
  await writeJson(join(peer.base, "config.json"), huggingFaceConfig(config));
  const tensors = weightShapes(config).map(async ([name, shape]) => float32(name, shape, await weights(name)));
  await saveSafetensors(join(peer.base, "model.safetensors"), await Promise.all(tensors));

  const parameters = new ParameterSet(loraParameters(config, LORA.rank));
  fillInitialAdapter(parameters);
  const modules = adapterMatrices(parameters, config, LORA.rank);
  await writeJson(join(peer.adapter, "adapter_config.json"), {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    r: LORA.rank,
    lora_alpha: LORA.rank * LORA.scale,
    lora_dropout: 0,
    target_modules: [...new Set(modules.map(({ module }) => module.split(".").at(-1)))],
  });
  const matrices = modules.flatMap(({ module, down, up }) => [
    float32(`base_model.model.${module}.lora_A.weight`, down.shape, down.values),
    float32(`base_model.model.${module}.lora_B.weight`, up.shape, up.values),
  ]);
  await saveSafetensors(join(peer.adapter, "adapter_model.safetensors"), matrices);
  return peer;
}

const writeJson = (path: string, value: unknown) => writeFile(path, JSON.stringify(value));

const float32 = (name: string, shape: readonly number[], values: Float32Array): StoredTensor => ({
  name,
  dtype: "F32",
  shape,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});

function weightShapes(config: DecoderConfig): [name: string, shape: number[]][] {
  const { layers, hidden, vocab } = config;
  const norms = Array.from({ length: layers }, (_, layer) => [
    `model.layers.${layer}.input_layernorm`,
    `model.layers.${layer}.post_attention_layernorm`,
  ]);
  return [
    ["model.embed_tokens.weight", [vocab, hidden]],
    ...["model.norm", ...norms.flat()].map((name): [string, number[]] => [`${name}.weight`, [hidden]]),
    ...bankSites(config).flatMap(({ inputs, projections }) =>
      projections.map(({ module, outputs }): [string, number[]] => [`${module}.weight`, [outputs, inputs]]),
    ),
  ];
}

/** @throws Error where the model has parts that {@link weightShapes} does not name */
function huggingFaceConfig(config: DecoderConfig) {
  if (!config.tiedEmbeddings || config.qkvBias || config.outputBias || config.ropeDivisors !== null) {
    throw new Error(
      "The benchmark trains Llamas with tied embeddings, without biases and without scaled rotations only.",
    );
  }
  return {
    ...llamaConfig(config),
    rms_norm_eps: config.normEpsilon,
    rope_parameters: { rope_type: "default", rope_theta: config.ropeTheta },
    tie_word_embeddings: true,
    dtype: "float32",
  };
}
