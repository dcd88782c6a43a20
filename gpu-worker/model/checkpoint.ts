import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { SamplingDefaults } from "../../schema/api/chat.ts";
import type { DecoderConfig } from "../graph/decoder.ts";
import type { WeightSource } from "../graph/layers.ts";
import { type ChatTemplate, readChatTemplate } from "./chat-template.ts";
import { type Architecture, architectureOf, readDecoderConfig } from "./config.ts";
import { openGguf } from "./gguf.ts";
import { openModelDirectory } from "./model-directory.ts";
import { readSamplingDefaults } from "./sampling-defaults.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { ggufWeights } from "./weights.ts";

/** A model as its publisher ships it, whatever the format: its shape in memory, its weights read on demand. */
export type Checkpoint = {
  readonly path: string;
  /** What llama.cpp calls the family: the rows of query and key are stored in another order for `llama`. */
  readonly architecture: Architecture;
  readonly config: DecoderConfig;
  readonly weights: WeightSource;
  /** @throws Error where there is none, or one that is not supported */
  readTokenizer(): Promise<Tokenizer>;
  /** @throws Error where there is none, or one that cannot be parsed */
  readTemplate(): Promise<ChatTemplate>;
  /** How the model samples where a request does not say. */
  readSampling(): Promise<SamplingDefaults>;
  /** SHA-256 over the weights, of the very bytes that they are read from. Reads all of them. */
  contentHash(): Promise<string>;
  close(): Promise<void>;
};

/**
 * Opens a model: a GGUF file, or a directory with config.json, safetensors and tokenizer.json as transformers saves them. The caller
 * closes it.
 *
 * @throws Error where it is neither, cannot be read, or is a model that the graph does not compute
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const found = await stat(path).catch((error: Error) => {
    throw new Error(`Cannot open the model ${path} (${error.message}).`, { cause: error });
  });
  return found.isDirectory() ? openModelDirectory(path) : openGgufCheckpoint(path);
}

async function openGgufCheckpoint(path: string): Promise<Checkpoint> {
  const gguf = await openGguf(path);
  try {
    const config = await readDecoderConfig(gguf);
    return {
      path,
      architecture: architectureOf(gguf),
      config,
      weights: ggufWeights(gguf, config),
      readTokenizer: async () => createTokenizer(gguf.metadata, config.vocab),
      readTemplate: async () => readChatTemplate(gguf.metadata),
      readSampling: async () => readSamplingDefaults(gguf.metadata),
      async contentHash() {
        const hash = createHash("sha256");
        for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
        return hash.digest("hex");
      },
      close: gguf.close,
    };
  } catch (error) {
    await gguf.close();
    throw error;
  }
}
