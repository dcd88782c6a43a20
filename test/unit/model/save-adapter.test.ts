import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openAdapter } from "../../../gpu-worker/model/adapter.ts";
import { type SavedAdapter, saveAdapter } from "../../../gpu-worker/model/save-adapter.ts";
import type { SteeringProfile } from "../../../schema/attributes.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-save-"));
});
afterEach(() => rm(directory, { recursive: true }));

const profile: SteeringProfile = {
  template: "chatml",
  measured: { verbosity: [15, 40, 80, 140], complexity: [6, 9, 11.5, 14] },
  attributes: [{ name: "verbosity", default: 2 }],
};

const saved = (first: number): SavedAdapter => ({
  baseModel: "owner/name",
  rank: 2,
  alpha: 4,
  profile,
  modules: [
    {
      module: "model.layers.0.self_attn.q_proj",
      down: { values: Float32Array.of(first, 2, 3, 4, 5, 6), shape: [2, 3] },
      up: { values: Float32Array.of(0.5, -0.25), shape: [1, 2] },
    },
  ],
});

describe("a saved adapter", () => {
  test("is read again as it was, float16 for its numbers", async () => {
    await saveAdapter(directory, saved(1 / 3));
    const adapter = await openAdapter(directory);
    expect(adapter.profile).toEqual(profile);
    const update = adapter.updates.get("model.layers.0.self_attn.q_proj");
    expect(update).toMatchObject({ rank: 2, inputs: 3, outputs: 1, scale: 2 });
    expect(await update?.down()).toEqual(Float32Array.of(0.333251953125, 2, 3, 4, 5, 6));
    expect(await update?.up()).toEqual(Float32Array.of(0.5, -0.25));
    await adapter.close();
  });

  test("has what PEFT looks for, and tensors at a multiple of eight bytes", async () => {
    await saveAdapter(directory, saved(1));
    expect((await readdir(directory)).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "profile.json",
    ]);
    expect(JSON.parse(await readFile(join(directory, "adapter_config.json"), "utf8"))).toMatchObject({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: "owner/name",
      r: 2,
      lora_alpha: 4,
      target_modules: ["q_proj"],
      bias: "none",
    });
    const bytes = await readFile(join(directory, "adapter_model.safetensors"));
    const header = Number(bytes.readBigUInt64LE());
    expect(header % 8).toBe(0);
    const { __metadata__, ...tensors } = JSON.parse(bytes.toString("utf8", 8, 8 + header));
    expect(__metadata__).toEqual({ format: "pt" });
    expect(tensors).toEqual({
      "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": {
        dtype: "F16",
        shape: [2, 3],
        data_offsets: [0, 12],
      },
      "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": {
        dtype: "F16",
        shape: [1, 2],
        data_offsets: [12, 16],
      },
    });
  });

  test("is kept where another cannot be written", async () => {
    await saveAdapter(directory, saved(1));
    const before = await readFile(join(directory, "adapter_model.safetensors"));
    await mkdir(join(directory, "adapter_model.safetensors.part"));
    await expect(saveAdapter(directory, saved(2))).rejects.toThrow(/Cannot write .*adapter_model\.safetensors: .*kept/);
    expect(await readFile(join(directory, "adapter_model.safetensors"))).toEqual(before);
  });

  test("is not written with numbers that float16 does not hold", async () => {
    await expect(saveAdapter(directory, saved(1e6))).rejects.toThrow("lora_A.weight has the value 1000000");
  });
});
