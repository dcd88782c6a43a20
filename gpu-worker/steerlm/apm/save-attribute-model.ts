import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { DecoderConfig } from "../../graph/decoder.ts";
import { HEAD_BIAS, HEAD_WEIGHT } from "../../graph/training/attribute-step.ts";
import {
  type AttributeModelDescription,
  DESCRIPTION_FILE,
  HEAD_FILE,
  HEAD_TENSORS,
} from "../../model/attribute-model.ts";
import { saveAdapter } from "../../model/save-adapter.ts";
import { saveFile } from "../../model/save-file.ts";
import { type StoredTensor, saveSafetensors } from "../../model/save-safetensors.ts";
import type { ParameterPart, ParameterSet } from "../../runtime/parameter-set.ts";
import { adapterMatrices } from "../training/adapter-matrices.ts";

export type SavedAttributeModel = {
  parameters: ParameterSet;
  config: DecoderConfig;
  rank: number;
  alpha: number;
  description: AttributeModelDescription;
};

/**
 * Writes an attribute prediction model: a LoRA in PEFT's format, the head as float32 (weight [attributes, hidden], bias [attributes]) and
 * `apm.json`. The directory takes the place of an older one as a whole.
 *
 * @throws Error that says what to do, where the disk does not take it; an older one is kept
 */
export async function saveAttributeModel(directory: string, saved: SavedAttributeModel): Promise<void> {
  const { parameters, config, rank, alpha, description } = saved;
  const part = `${directory}.part`;
  try {
    await rm(part, { recursive: true, force: true });
    const modules = adapterMatrices(parameters, config, rank);
    await saveAdapter(part, { baseModel: description.base.name, rank, alpha, modules });
    const bias = parameters.part(HEAD_BIAS);
    await saveSafetensors(join(part, HEAD_FILE), [
      tensor(HEAD_TENSORS.weight, parameters.part(HEAD_WEIGHT)),
      tensor(HEAD_TENSORS.bias, { ...bias, shape: [bias.values.length] }),
    ]);
    await saveFile(join(part, DESCRIPTION_FILE), [Buffer.from(`${JSON.stringify(description, null, 2)}\n`)]);
    await replaceDirectory(directory, part);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

const tensor = (name: string, { values, shape }: Pick<ParameterPart, "values" | "shape">): StoredTensor => ({
  name,
  dtype: "F32",
  shape,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});

/** A directory that is not empty cannot be renamed over: the older one steps aside first. */
async function replaceDirectory(directory: string, part: string): Promise<void> {
  const older = `${directory}.old`;
  await mkdir(directory, { recursive: true });
  await rm(older, { recursive: true, force: true });
  await rename(directory, older);
  await rename(part, directory);
  await rm(older, { recursive: true, force: true });
}
