/// <reference lib="esnext.float16" />
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openAdapter } from "../../../gpu-worker/model/adapter.ts";
import { openCheckpoint } from "../../../gpu-worker/model/checkpoint.ts";
import { openGguf } from "../../../gpu-worker/model/gguf.ts";
import { writeGgufAdapter } from "../../../gpu-worker/model/gguf-adapter.ts";
import { type GgufFloat, writeGguf } from "../../../gpu-worker/model/gguf-writer.ts";
import { PEFT_ADAPTERS, type PeftAdapter } from "../../fixtures/peft-adapters.ts";
import { publishedModel } from "../../fixtures/published-models.ts";

let temporary: string;
beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "attune-gguf-adapter-"));
});
afterAll(() => rm(temporary, { recursive: true }));

/** Converts one of PEFT's adapters. @returns the file's path */
async function convert({ name, directory, expected }: PeftAdapter, float: GgufFloat): Promise<string> {
  const path = join(temporary, `${name}-${float}.gguf`);
  const adapter = await openAdapter(directory);
  const model = await openCheckpoint(publishedModel(expected.model).directory);
  try {
    await writeGgufAdapter(path, adapter, model, { float });
    return path;
  } finally {
    await model.close();
    await adapter.close();
  }
}

/** The bytes of each tensor of a file, by its length and offset. */
async function tensorHashes(path: string, float: GgufFloat) {
  const gguf = await openGguf(path);
  try {
    const entries = gguf.tensorNames.map(async (name) => {
      const values = await gguf.readFloat32(name);
      const stored = float === "f16" ? Float16Array.from(values) : values;
      const bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
      return [name, { shape: gguf.shape(name), sha256: createHash("sha256").update(bytes).digest("hex") }] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  } finally {
    await gguf.close();
  }
}

describe.each(PEFT_ADAPTERS)("PEFT's adapter $name as GGUF", (adapter) => {
  it.each(["f32", "f16"] as const)("has the tensors of llama.cpp's converter, bit for bit, in %s", async (float) => {
    expect(await tensorHashes(await convert(adapter, float), float)).toEqual(adapter.expected.gguf[float].tensors);
  });

  it("says what llama.cpp's converter says of it", async () => {
    const gguf = await openGguf(await convert(adapter, "f32"));
    const { "general.name": _, "adapter.lora.alpha": alpha, ...expected } = adapter.expected.gguf.f32.metadata;
    const found = Object.fromEntries(
      Object.entries(expected).map(([key, value]) => [
        key,
        typeof value === "number" ? gguf.metadata.number(key) : gguf.metadata.string(key),
      ]),
    );
    expect(found).toEqual(expected);
    // llama.cpp's scale is alpha / rank. Its converter passes over that rank-stabilised LoRAs are scaled by alpha / √rank.
    expect(gguf.metadata.number("adapter.lora.alpha")).toBe(adapter.name === "rank-stabilised" ? 16 : alpha);
    await gguf.close();
  });
});

it("scales B where alpha and rank differ by module, since the file holds one alpha", async () => {
  const [source] = PEFT_ADAPTERS;
  if (source === undefined) throw new Error("There are no adapters");
  const adapter = await openAdapter(source.directory);
  const model = await openCheckpoint(publishedModel(source.expected.model).directory);
  const [[first, update] = []] = adapter.updates;
  if (first === undefined || update === undefined) throw new Error("The adapter is empty");
  const value = "model.layers.1.self_attn.v_proj";
  const doubled = new Map(
    [...adapter.updates].map(([name, one]) => [name, name === value ? { ...one, scale: 2 } : one]),
  );
  const path = join(temporary, "scaled.gguf");
  await writeGgufAdapter(path, { ...adapter, updates: doubled }, model, { float: "f32" });
  const gguf = await openGguf(path);
  const plain = await openGguf(await convert(source, "f32"));
  const name = "blk.1.attn_v.weight.lora_b";
  expect(await gguf.readFloat32(name)).toEqual((await plain.readFloat32(name)).map((entry) => 2 * entry));
  for (const file of [gguf, plain, model, adapter]) await file.close();
});

it("refuses to write an adapter for a model that it was not trained on", async () => {
  const [source] = PEFT_ADAPTERS;
  if (source === undefined) throw new Error("There are no adapters");
  const foreign: PeftAdapter = { ...source, expected: { ...source.expected, model: "llama2" } };
  await expect(convert(foreign, "f32")).rejects.toThrow("was trained on another model");
});

it("leaves the earlier file, and nothing else, where a tensor cannot be read", async () => {
  const directory = await mkdtemp(join(temporary, "broken-"));
  const path = join(directory, "adapter.gguf");
  const good = { name: "a", shape: [2], read: async () => Float32Array.of(1, 2) };
  await writeGguf(path, new Map([["general.type", "adapter"]]), [good], { float: "f32" });
  const before = await readFile(path);
  const bad = { name: "b", shape: [2], read: () => Promise.reject(new Error("The disk is gone")) };
  await expect(writeGguf(path, new Map(), [good, bad], { float: "f32" })).rejects.toThrow("The disk is gone");
  expect(await readFile(path)).toEqual(before);
  expect(await readdir(directory)).toEqual(["adapter.gguf"]);
});

it("refuses values that 16 bits cannot hold, and says to write 32", async () => {
  const huge = { name: "blk.0.attn_q.weight.lora_a", shape: [1], read: async () => Float32Array.of(1e6) };
  const path = join(temporary, "huge.gguf");
  await expect(writeGguf(path, new Map(), [huge], { float: "f16" })).rejects.toThrow("has the value 1000000");
});

it("says what to do where the disk does not take the file, and ends where it is told to", async () => {
  const one = { name: "a", shape: [1], read: async () => Float32Array.of(1) };
  const nowhere = join(temporary, "no-such-directory", "adapter.gguf");
  await expect(writeGguf(nowhere, new Map(), [one], { float: "f32" })).rejects.toThrow(`Cannot write ${nowhere}`);
  const directory = await mkdtemp(join(temporary, "ended-"));
  const signal = AbortSignal.abort(new Error("Interrupted"));
  const work = writeGguf(join(directory, "adapter.gguf"), new Map(), [one], { float: "f32", signal });
  await expect(work).rejects.toThrow("Interrupted");
  expect(await readdir(directory)).toEqual([]);
});
