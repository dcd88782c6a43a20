import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type SamplingDefaults, samplingDefaultsSchema } from "../../schema/api/chat.ts";
import { parseChatTemplate } from "./chat-template.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { jsonDecoderConfig, parseJsonConfig } from "./json-config.ts";
import { parseJsonFile } from "./json-file.ts";
import { openShards } from "./shards.ts";
import { buildTokenizer } from "./tokenizer.ts";
import { jsonVocabulary } from "./tokenizer-json.ts";

/** A marker's text, or an object that holds it. */
const token = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]).nullish();
const tokenizerConfigSchema = z.object({
  bos_token: token,
  eos_token: token,
  add_bos_token: z.boolean().nullish(),
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .transform((found) => (typeof found === "string" ? found : found.find(({ name }) => name === "default")?.template))
    .nullish(),
});

const number = z.number().nullish();
const generationSchema = z.object({
  do_sample: z.boolean().nullish(),
  temperature: number,
  top_p: number,
  top_k: number,
  min_p: number,
  eos_token_id: z.union([z.int(), z.array(z.int())]).nullish(),
});

/**
 * Opens a model directory as transformers saves it: config.json, safetensors, tokenizer.json, tokenizer_config.json, and where there
 * are some, generation_config.json and chat_template.jinja. The caller closes it.
 *
 * @throws Error that names the file and what is wrong with it
 */
export async function openModelDirectory(path: string): Promise<Checkpoint> {
  const configPath = join(path, "config.json");
  const json = parseJsonConfig(configPath, await readFile(configPath, "utf8"));
  const weights = await openShards(path);
  try {
    const config = jsonDecoderConfig(configPath, json, weights);
    return {
      path,
      architecture: json.model_type === "qwen2" ? "qwen2" : "llama",
      config,
      weights: weights.readFloat32,
      async readTokenizer() {
        const file = join(path, "tokenizer.json");
        const [text, stated, generation] = await Promise.all([
          readFile(file, "utf8"),
          readTokenizerConfig(path),
          readGenerationConfig(path),
        ]);
        const facts = {
          vocab: config.vocab,
          bosText: stated.bos_token ?? null,
          eosText: stated.eos_token ?? null,
          addBos: stated.add_bos_token ?? null,
          endIds: [generation.eos_token_id ?? [], json.eos_token_id ?? []].flat(),
        };
        return buildTokenizer(jsonVocabulary(file, text, facts));
      },
      async readTemplate() {
        const separate = await readIfThere(join(path, "chat_template.jinja"));
        const source = separate ?? (await readTokenizerConfig(path)).chat_template;
        if (typeof source === "string") return parseChatTemplate(source);
        throw new Error(`${path} has no chat template, neither in chat_template.jinja nor in tokenizer_config.json.`);
      },
      readSampling: () => readSampling(path),
      contentHash: weights.contentHash,
      close: weights.close,
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

async function readTokenizerConfig(directory: string) {
  const path = join(directory, "tokenizer_config.json");
  return parseJsonFile(path, await readFile(path, "utf8"), tokenizerConfigSchema, "a tokenizer's configuration");
}

async function readGenerationConfig(directory: string) {
  const path = join(directory, "generation_config.json");
  return parseJsonFile(path, (await readIfThere(path)) ?? "{}", generationSchema, "a generation configuration");
}

/** What a publisher recommends counts only where it recommends sampling at all; else transformers ignores it too. */
async function readSampling(directory: string): Promise<SamplingDefaults> {
  const { do_sample: isRecommended, ...generation } = await readGenerationConfig(directory);
  const stated = isRecommended === true ? Object.entries(generation).filter(([, value]) => value !== null) : [];
  const path = join(directory, "generation_config.json");
  const text = JSON.stringify(Object.fromEntries(stated));
  return parseJsonFile(path, text, samplingDefaultsSchema, "a generation configuration that can be followed");
}

async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
}
