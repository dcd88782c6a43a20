import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { readChatTemplate, renderPrompt } from "../../gpu-worker/model/chat-template.ts";
import { type Gguf, openGguf } from "../../gpu-worker/model/gguf.ts";
import { GgufMetadata } from "../../gpu-worker/model/metadata.ts";
import { createTokenizer, type Tokenizer } from "../../gpu-worker/model/tokenizer.ts";
import { messageSchema } from "../../schema/api/chat.ts";

const ids = z.array(z.int());
const corpusSchema = z.object({
  endOfAnswer: ids,
  texts: z.array(z.string()),
  tokenizations: z.array(z.object({ pre: z.string(), ids: z.array(ids) })),
});
const chatsSchema = z.object({ chats: z.array(z.object({ messages: z.array(messageSchema), prompt: ids })) });

function fixture<T>(name: string, schema: z.ZodType<T>): T {
  return schema.parse(JSON.parse(readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8")));
}

const corpus = fixture("tokenizer-corpus.json", corpusSchema);
const { chats } = fixture("reference-tokens.json", chatsSchema);

/** Control characters that SmolLM2's vocabulary has no token for; llama.cpp leaves them out too. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones meant
const WITHOUT_TOKEN = /[\u0004\u0006\u0013\u0014\u0016\u001d]/g;

let gguf: Gguf;
let tokenizer: Tokenizer;

beforeAll(async () => {
  const path = process.env.ATTUNE_TEST_GGUF;
  if (path === undefined)
    throw new Error("Set ATTUNE_TEST_GGUF to the path of SmolLM2-135M-Instruct.Q4_1.gguf; npm test does.");
  gguf = await openGguf(path);
  tokenizer = createTokenizer(gguf.metadata);
});
afterAll(() => gguf.close());

/** The model's tokenizer under another pre-tokenizer, as llama.cpp's metadata override makes it. */
function withPreTokenizer(pre: string): Tokenizer {
  const { metadata } = gguf;
  return createTokenizer(
    new GgufMetadata(
      {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": metadata.strings("tokenizer.ggml.tokens"),
        "tokenizer.ggml.token_type": metadata.numbers("tokenizer.ggml.token_type"),
        "tokenizer.ggml.merges": metadata.strings("tokenizer.ggml.merges"),
      },
      gguf.path,
    ),
  );
}

describe("on the real model, the tokenizer", () => {
  test.each(corpus.tokenizations)("agrees with llama.cpp on the whole corpus ($pre)", ({ pre, ids: expected }) => {
    const other = withPreTokenizer(pre);
    for (const [index, text] of corpus.texts.entries()) expect(other.encodeText(text), text).toEqual(expected[index]);
  });

  test("agrees with llama.cpp on whole chats, markers and all", () => {
    const template = readChatTemplate(gguf.metadata);
    const steering = { effective: {}, method: "none" as const, preset: null, clamped: [], not_trained: [], note: null };
    for (const { messages, prompt } of chats) {
      expect(renderPrompt(tokenizer, template, { messages, steering, profile: null }).ids).toEqual(prompt);
    }
  });

  test("agrees with llama.cpp on which tokens end an answer", () => {
    expect([...tokenizer.eosIds].sort((a, b) => a - b)).toEqual(corpus.endOfAnswer);
  });

  test("gives every text back", () => {
    for (const text of corpus.texts) {
      expect(tokenizer.decode(tokenizer.encodeText(text))).toBe(text.replace(WITHOUT_TOKEN, ""));
    }
  });
});
