import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { GgufMetadata } from "../../../gpu-worker/model/metadata.ts";
import { createTokenizer } from "../../../gpu-worker/model/tokenizer.ts";

const { metadata, texts } = z
  .object({
    metadata: z.record(z.string(), z.unknown()),
    texts: z.array(z.object({ text: z.string(), ids: z.array(z.int()) })),
  })
  .parse(JSON.parse(readFileSync(new URL("../../fixtures/sentencepiece.json", import.meta.url), "utf8")));

const tokenizerWith = (keys: Record<string, unknown>) =>
  createTokenizer(new GgufMetadata({ ...metadata, ...keys }, "vocabulary.gguf"));
const tokenizer = tokenizerWith({});

describe("the SentencePiece vocabulary of a GGUF, as Llama 2's and Mistral's have it", () => {
  test("tokenises every text as llama.cpp does", () => {
    for (const { text, ids } of texts) expect(tokenizer.encodeText(text), JSON.stringify(text)).toEqual(ids);
  });

  test("spells a character without a token in bytes, and gives those bytes back", () => {
    const [space = -1, ...ids] = tokenizer.encodeText("€");
    expect(ids.map((id) => [...tokenizer.tokenBytes(id)])).toEqual([[0xe2], [0x82], [0xac]]);
    expect(tokenizer.decode([space, ...ids])).toBe(" €");
  });

  test("writes no byte token for a text that looks like one", () => {
    const ids = tokenizer.encodeText("<0xE2>");
    expect(ids.length).toBeGreaterThan(2);
    expect(tokenizer.decode(ids)).toBe(" <0xE2>");
  });

  test("puts no space in front where the file says so, and begins a prompt as it says", () => {
    expect(tokenizer.requiredBos).toBe(1);
    const bare = tokenizerWith({ "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.add_bos_token": false });
    expect(bare.decode(bare.encodeText("the"))).toBe("the");
    expect(bare.requiredBos).toBeNull();
  });

  test.each([
    ["scores of another number", { "tokenizer.ggml.scores": [1] }, "scores differ in length"],
    ["a byte token of another form", { "tokenizer.ggml.token_type": bytesEverywhere() }, "like <0xE2>"],
  ])("refuses %s", (_, keys, message) => {
    expect(() => tokenizerWith(keys)).toThrow(message);
  });
});

/** Types that call every token a byte. */
function bytesEverywhere(): number[] {
  const tokens = metadata["tokenizer.ggml.tokens"];
  return Array.isArray(tokens) ? tokens.map(() => 6) : [];
}
