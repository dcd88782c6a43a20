import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { SteeringProfile } from "../../schema/attributes.ts";
import { halfPrecision } from "./half-precision.ts";
import { saveFile, writingFailed } from "./save-file.ts";
import { type StoredTensor, saveSafetensors } from "./save-safetensors.ts";

/** Row-major. */
type Matrix = { values: Float32Array; shape: readonly [number, number] };

/** One module's update: A [rank, inputs], B [outputs, rank]; `module` as `model.layers.0.self_attn.q_proj`. */
export type AdapterMatrices = { module: string; down: Matrix; up: Matrix };

export type SavedAdapter = {
  /** What it was trained on, as a person finds it again. */
  baseModel: string;
  rank: number;
  alpha: number;
  modules: readonly AdapterMatrices[];
  /** Left out where the adapter is not for answering. */
  profile?: SteeringProfile | undefined;
};

/**
 * Writes a LoRA in PEFT's format, its matrices as float16, with its steering profile where it has one. Each file is written whole or not at all, the
 * weights last.
 *
 * @throws Error that says what to do, where the disk does not take it, or where a number is beyond float16
 */
export async function saveAdapter(directory: string, adapter: SavedAdapter): Promise<void> {
  const { baseModel, rank, alpha, modules, profile } = adapter;
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: "none",
    target_modules: [...new Set(modules.map(({ module }) => module.split(".").at(-1)))],
    fan_in_fan_out: false,
    inference_mode: true,
    modules_to_save: null,
    use_rslora: false,
    use_dora: false,
  };
  const tensors = modules.flatMap(({ module, down, up }) => [
    halfTensor(`base_model.model.${module}.lora_A.weight`, down),
    halfTensor(`base_model.model.${module}.lora_B.weight`, up),
  ]);
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw writingFailed(directory, error);
  });
  const json = (value: unknown) => [Buffer.from(`${JSON.stringify(value, null, 2)}\n`)];
  if (profile !== undefined) await saveFile(join(directory, "profile.json"), json(profile));
  await saveFile(join(directory, "adapter_config.json"), json(config));
  await saveSafetensors(join(directory, "adapter_model.safetensors"), tensors);
}

const halfTensor = (name: string, { values, shape }: Matrix): StoredTensor => ({
  name,
  dtype: "F16",
  shape,
  bytes: halfPrecision(name, values),
});
