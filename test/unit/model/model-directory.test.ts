import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Checkpoint, openCheckpoint } from "../../../gpu-worker/model/checkpoint.ts";
import { publishedModel } from "../../fixtures/published-models.ts";

let temporary: string;
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), "attune-directory-"));
});
afterEach(() => rm(temporary, { recursive: true }));

const jsonObject = z.record(z.string(), z.unknown());
type Change = (json: Record<string, unknown>) => object;

/** A copy of a published model of which one file is changed. */
async function changed(name: string, file: string, change: Change): Promise<string> {
  const directory = join(temporary, name);
  await cp(publishedModel(name).directory, directory, { recursive: true });
  const path = join(directory, file);
  await writeFile(path, JSON.stringify(change(jsonObject.parse(JSON.parse(await readFile(path, "utf8"))))));
  return directory;
}

async function read<T>(directory: string, part: (checkpoint: Checkpoint) => T | Promise<T>): Promise<T> {
  const checkpoint = await openCheckpoint(directory);
  try {
    return await part(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

const withField = (fields: Record<string, unknown>) => (json: object) => ({ ...json, ...fields });

describe("config.json", () => {
  test.each([
    ["another family", { model_type: "gemma2" }, "model_type: only llama, qwen2 and mistral"],
    ["YaRN", { rope_scaling: { rope_type: "yarn", factor: 4 } }, "rotary frequencies by yarn"],
    ["scaling without its numbers", { rope_scaling: { type: "linear" } }, "without saying factor"],
    ["another activation", { hidden_act: "gelu" }, "hidden_act: only silu"],
    ["partial rotation", { partial_rotary_factor: 0.5 }, "partial_rotary_factor: only 1"],
    ["quantised weights", { quantization_config: { quant_method: "gptq" } }, "quantised weights are not supported"],
    ["a missing size", { num_hidden_layers: undefined }, "num_hidden_layers"],
    ["sizes that do not fit", { num_key_value_heads: 3 }, "do not fit together"],
  ])("with %s is refused rather than computed as something else", async (_, fields, message) => {
    const directory = await changed("llama2", "config.json", withField(fields));
    await expect(openCheckpoint(directory)).rejects.toThrow(message);
  });

  test("of transformers 5, with the rotation's base beside its scaling, is read as one of transformers 4", async () => {
    const { rope_scaling: scaling, rope_theta: theta } = jsonObject.parse(
      JSON.parse(await readFile(join(publishedModel("llama3").directory, "config.json"), "utf8")),
    );
    const newer = { rope_scaling: undefined, rope_theta: undefined };
    const parameters = { ...jsonObject.parse(scaling), rope_theta: theta };
    const fields = withField({ ...newer, rope_parameters: parameters });
    const config = await read(await changed("llama3", "config.json", fields), (model) => model.config);
    expect(config).toEqual(await read(publishedModel("llama3").directory, (model) => model.config));
    expect(config.ropeTheta).toBe(5000);
  });

  test("that does not say whether embeddings are tied leaves it to the weights", async () => {
    const fields = withField({ tie_word_embeddings: undefined });
    for (const [name, isTied] of [
      ["llama2", false],
      ["qwen2", true],
    ] as const) {
      const directory = await changed(name, "config.json", fields);
      expect(await read(directory, (model) => model.config.tiedEmbeddings)).toBe(isTied);
    }
  });
});

describe("the weights", () => {
  test("that are missing, or a shard of them, are named", async () => {
    const directory = await changed("llama3", "config.json", (json) => json);
    await rm(join(directory, "model-00002-of-00002.safetensors"));
    await expect(openCheckpoint(directory)).rejects.toThrow("model-00002-of-00002.safetensors");
    await rm(join(directory, "model.safetensors.index.json"));
    await expect(openCheckpoint(directory)).rejects.toThrow("model.safetensors");
  });

  test("are never read outside the directory", async () => {
    const outside = { weight_map: { "model.norm.weight": "../llama2/model.safetensors" } };
    const directory = await changed("llama3", "model.safetensors.index.json", () => outside);
    await expect(openCheckpoint(directory)).rejects.toThrow("outside its directory");
  });

  test("have to have attention's biases in every layer or in none", async () => {
    const directory = await changed("llama2", "config.json", withField({ num_hidden_layers: 3 }));
    await expect(openCheckpoint(directory)).rejects.toThrow("biases in some of its layers");
  });
});

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
const METASPACE = { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false };

describe("tokenizer.json", () => {
  const sequence = (...pretokenizers: object[]) => ({ pre_tokenizer: { type: "Sequence", pretokenizers } });
  test.each([
    ["smollm2", "a normaliser that changes texts", { normalizer: { type: "Lowercase" } }, "Lowercase"],
    ["smollm2", "words that are cut otherwise", sequence({ type: "Whitespace" }, BYTE_LEVEL), "Whitespace"],
    ["smollm2", "no bytes", { pre_tokenizer: { type: "Whitespace" } }, "neither a byte-level tokenizer nor"],
    ["smollm2", "a space in front", { pre_tokenizer: { ...BYTE_LEVEL, add_prefix_space: true } }, "add_prefix_space"],
    ["smollm2", "another model than BPE", { model: { type: "Unigram", vocab: {}, merges: [] } }, "only BPE"],
    ["mistral", "words within a text", { pre_tokenizer: { ...METASPACE, split: true } }, '"split":true'],
    ["llama2", "spaces that stay spaces", { normalizer: null }, "does not write spaces as ▁"],
  ])("of %s with %s is refused", async (name, _, fields, message) => {
    const directory = await changed(name, "tokenizer.json", withField(fields));
    await expect(read(directory, (model) => model.readTokenizer())).rejects.toThrow(message);
  });

  test("may hold a padding token that the model has no row for, which then is text", async () => {
    const padding = { id: 300, content: "[PAD]", special: true };
    const add = (json: Record<string, unknown>) => ({
      ...json,
      added_tokens: [...z.array(z.unknown()).parse(json.added_tokens), padding],
    });
    const tokenizer = await read(await changed("smollm2", "tokenizer.json", add), (model) => model.readTokenizer());
    expect(tokenizer.markerIds.has("[PAD]")).toBe(false);
    expect(tokenizer.decode(tokenizer.encodeText("[PAD]"))).toBe("[PAD]");
  });
});

describe("tokenizer_config.json", () => {
  test("may give markers as objects and several templates by name", async () => {
    const fields = withField({
      eos_token: { content: "<|im_end|>", special: true },
      add_bos_token: false,
      chat_template: [
        { name: "tool_use", template: "tools" },
        { name: "default", template: "{{ eos_token }}!" },
      ],
    });
    const directory = await changed("qwen2", "tokenizer_config.json", fields);
    const { eosText } = await read(directory, (model) => model.readTokenizer());
    expect(eosText).toBe("<|im_end|>");
    const template = await read(directory, (model) => model.readTemplate());
    expect(template.render({ eos_token: eosText })).toBe("<|im_end|>!");
  });

  test("without a chat template says where one is looked for", async () => {
    const directory = await changed("qwen2", "tokenizer_config.json", withField({ chat_template: undefined }));
    await expect(read(directory, (model) => model.readTemplate())).rejects.toThrow("chat_template.jinja");
  });
});
