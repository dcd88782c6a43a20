import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readDecoderConfig } from "../../../gpu-worker/model/config.ts";
import { type Gguf, openGguf } from "../../../gpu-worker/model/gguf.ts";
import { ggufBytes, type TinyGguf } from "../../fixtures/tiny-gguf.ts";

const LLAMA: TinyGguf["metadata"] = {
  "general.architecture": "llama",
  "llama.block_count": 2,
  "llama.embedding_length": 8,
  "llama.feed_forward_length": 16,
  "llama.attention.head_count": 4,
  "llama.attention.head_count_kv": 2,
  "llama.context_length": 64,
  "llama.rope.freq_base": 100_000,
  "llama.attention.layer_norm_rms_epsilon": 0.5,
  names: ["a", "b"],
  flag: true,
};
const EMBEDDING = {
  name: "token_embd.weight",
  shape: [3, 8],
  values: Float32Array.from({ length: 24 }, (_, i) => i / 4),
};

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "attune-gguf-"));
});
afterAll(() => rm(directory, { recursive: true }));

async function withGguf<T>(parts: Partial<TinyGguf>, use: (gguf: Gguf) => T | Promise<T>): Promise<T> {
  const path = join(directory, "model.gguf");
  await writeFile(path, ggufBytes({ metadata: LLAMA, tensors: [EMBEDDING], ...parts }));
  const gguf = await openGguf(path);
  try {
    return await use(gguf);
  } finally {
    await gguf.close();
  }
}

describe("openGguf", () => {
  test("gives shapes row-major and values in that order", () =>
    withGguf({}, async (gguf) => {
      expect(gguf.tensorNames).toEqual(["token_embd.weight"]);
      expect(gguf.shape("token_embd.weight")).toEqual([3, 8]);
      expect(await gguf.readFloat32("token_embd.weight")).toEqual(EMBEDDING.values);
    }));

  test("names the tensor or metadata key that is missing or of another type", () =>
    withGguf({}, async (gguf) => {
      expect(gguf.metadata.strings("names")).toEqual(["a", "b"]);
      expect(gguf.metadata.boolean("flag")).toBe(true);
      expect(gguf.has("output.weight")).toBe(false);
      await expect(gguf.readFloat32("output.weight")).rejects.toThrow("has no tensor output.weight");
      expect(() => gguf.metadata.number("llama.nothing")).toThrow("lacks the metadata key llama.nothing");
      expect(() => gguf.metadata.number("names")).toThrow("the metadata key names must be a number");
    }));

  test("refuses a file that is not there, is no GGUF, or is cut short anywhere", async () => {
    const path = join(directory, "broken.gguf");
    await expect(openGguf(path)).rejects.toThrow(`Cannot open the model file ${path}`);
    await writeFile(path, "<html>not a model</html>");
    await expect(openGguf(path)).rejects.toThrow("is not a readable GGUF file");
    await writeFile(path, "");
    await expect(openGguf(path)).rejects.toThrow("is not a readable GGUF file");
    const whole = ggufBytes({ metadata: LLAMA, tensors: [EMBEDDING] });
    for (const length of [6, 30, 200, whole.length - 1]) {
      await writeFile(path, whole.subarray(0, length));
      await expect(openGguf(path)).rejects.toThrow(/is cut short|is not a readable GGUF file/);
    }
  });
});

describe("readDecoderConfig", () => {
  test("reads the decoder's shape", () =>
    withGguf({}, (gguf) => {
      expect(readDecoderConfig(gguf)).toEqual({
        layers: 2,
        hidden: 8,
        heads: 4,
        kvHeads: 2,
        headDim: 2,
        intermediate: 16,
        vocab: 3,
        contextLength: 64,
        ropeTheta: 100_000,
        normEpsilon: 0.5,
        tiedEmbeddings: true,
      });
    }));

  const vector = (name: string) => ({ name, shape: [4], values: new Float32Array(4) });
  test.each([
    ["another architecture", { metadata: { ...LLAMA, "general.architecture": "gemma" } }, "architecture gemma"],
    ["scaled rope", { metadata: { ...LLAMA, "llama.rope.scaling.type": "linear" } }, "scales its rotary frequencies"],
    ["rope factors", { tensors: [EMBEDDING, vector("rope_freqs.weight")] }, "scales its rotary frequencies"],
    ["partial rope", { metadata: { ...LLAMA, "llama.rope.dimension_count": 1 } }, "only a part of each head"],
    ["experts", { metadata: { ...LLAMA, "llama.expert_count": 8 } }, "mixture of experts"],
    ["biases", { tensors: [EMBEDDING, vector("blk.0.attn_q.bias")] }, "blk.0.attn_q.bias"],
    ["odd heads", { metadata: { ...LLAMA, "llama.attention.head_count": 3 } }, "do not fit together"],
  ])("refuses %s rather than compute something else", (_, parts, message) =>
    withGguf(parts, (gguf) => {
      expect(() => readDecoderConfig(gguf)).toThrow(message);
    }),
  );
});
