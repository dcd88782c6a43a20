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
    withGguf({}, async (gguf) => {
      expect(await readDecoderConfig(gguf)).toEqual({
        layers: 2,
        hidden: 8,
        heads: 4,
        kvHeads: 2,
        headDim: 2,
        intermediate: 16,
        vocab: 3,
        contextLength: 64,
        ropeTheta: 100_000,
        ropeDivisors: null,
        normEpsilon: 0.5,
        tiedEmbeddings: true,
        qkvBias: false,
        outputBias: false,
      });
    }));

  const vector = (name: string, ...values: number[]) => ({
    name,
    shape: [values.length],
    values: Float32Array.from(values),
  });
  const withKeys = (keys: TinyGguf["metadata"]) => ({ metadata: { ...LLAMA, ...keys } });

  test("reads how the rotary frequencies are scaled: by factors, by one factor, or both", async () => {
    const divisorsOf = (parts: Partial<TinyGguf>) =>
      withGguf(parts, async (gguf) => (await readDecoderConfig(gguf)).ropeDivisors);
    const linear = withKeys({ "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 });
    const factors = { tensors: [EMBEDDING, vector("rope_freqs.weight", 8)] };
    expect(await divisorsOf(linear)).toEqual([4]);
    expect(await divisorsOf(withKeys({ "llama.rope.scale_linear": 2 }))).toEqual([2]);
    expect(
      await divisorsOf(withKeys({ "llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4 })),
    ).toBeNull();
    expect(await divisorsOf(factors)).toEqual([8]);
    expect(await divisorsOf({ ...linear, ...factors })).toEqual([32]);
  });

  test("reads no more context than the window of sliding attention, within which it is full attention", () =>
    withGguf(withKeys({ "llama.attention.sliding_window": 16 }), async (gguf) => {
      expect((await readDecoderConfig(gguf)).contextLength).toBe(16);
    }));

  const bias = (name: string) => vector(name, 0, 0);
  test.each([
    ["another architecture", withKeys({ "general.architecture": "gemma" }), "architecture gemma"],
    ["YaRN", withKeys({ "llama.rope.scaling.type": "yarn" }), "rotary frequencies by yarn"],
    [
      "rope factors of another number",
      { tensors: [EMBEDDING, vector("rope_freqs.weight", 1, 2)] },
      "rotary frequencies",
    ],
    ["partial rope", withKeys({ "llama.rope.dimension_count": 1 }), "only a part of each head"],
    ["values of another size", withKeys({ "llama.attention.value_length": 4 }), "another size than its keys"],
    ["experts", withKeys({ "llama.expert_count": 8 }), "mixture of experts"],
    ["other biases", { tensors: [EMBEDDING, bias("blk.0.ffn_up.bias")] }, "blk.0.ffn_up.bias"],
    ["biases of one layer", { tensors: [EMBEDDING, bias("blk.0.attn_q.bias")] }, "biases in some of its layers"],
    ["odd heads", withKeys({ "llama.attention.head_count": 3 }), "do not fit together"],
    ["no layers", withKeys({ "llama.block_count": 0 }), "do not fit together"],
  ])("refuses %s rather than compute something else", (_, parts, message) =>
    withGguf(parts, async (gguf) => {
      await expect(readDecoderConfig(gguf)).rejects.toThrow(message);
    }),
  );
});
