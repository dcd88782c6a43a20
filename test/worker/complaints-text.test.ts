/** What users of other servers complain about, as promises: the text that goes out. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { Answer } from "../../gpu-worker/engine/answer.ts";
import type { TokenBytes } from "../../gpu-worker/engine/detokeniser.ts";
import { GgufMetadata } from "../../gpu-worker/model/metadata.ts";
import { createTokenizer } from "../../gpu-worker/model/tokenizer.ts";
import { type Sampling, samplingSchema } from "../../schema/api/chat.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const { metadata } = z
  .object({ metadata: z.record(z.string(), z.unknown()) })
  .parse(JSON.parse(readFileSync(new URL("../fixtures/sentencepiece.json", import.meta.url), "utf8")));

const byteLevel = tinyTokenizer();
const VOCABULARIES = [
  { name: "byte-level BPE", tokenizer: byteLevel },
  { name: "SentencePiece with byte fallback", tokenizer: createTokenizer(new GgufMetadata(metadata, "tiny.gguf")) },
];

type Options = Partial<Sampling> & { maxTokens?: number };

/** What goes out after each token while a model says exactly `tokens`, until its answer is over. */
function speak(table: TokenBytes, tokens: number[], { maxTokens = tokens.length, ...sampling }: Options = {}) {
  const parsed = samplingSchema.parse({ temperature: 0, ...sampling });
  const answer = new Answer(
    { id: "a", prompt: [0], sampling: parsed, maxTokens },
    { tokens: table, eosIds: new Set() },
  );
  const logits = new Float32Array(table.offsets.length - 1);
  const deltas: string[] = [];
  const spoken: number[] = [];
  for (const token of tokens) {
    logits.fill(0);
    logits[token] = 1;
    const { advance } = answer.next(logits);
    deltas.push(advance.text);
    spoken.push(...(advance.logprobs ?? []).map((entry) => entry.token));
    if (advance.finish !== null) return { deltas, text: deltas.join(""), spoken, finish: advance.finish };
  }
  throw new Error("The answer did not end");
}

/** A vocabulary of just these tokens. */
function tableOf(pieces: Uint8Array[]): TokenBytes {
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [id, piece] of pieces.entries()) offsets[id + 1] = (offsets[id] ?? 0) + piece.length;
  return { bytes: Buffer.concat(pieces), offsets };
}

const DIFFICULT = [
  "👩‍👩‍👧‍👦👍🏽🏳️‍🌈🇰🇷",
  "안녕하세요, 반갑습니다",
  "今日は良い天気です。漢字𠮷",
  "Ça été naïve: e\u0301",
  "\uFEFF€\u200d",
];
const text = fc.oneof(
  fc.constantFrom(...DIFFICULT),
  fc.string({ unit: "grapheme", minLength: 1 }),
  fc.array(fc.constantFrom(...DIFFICULT.flatMap((line) => [...line])), { minLength: 1 }).map((parts) => parts.join("")),
);

// ferrox #124; exo #1691; vllm-mlx #109; mlx-vlm #1076, #1778; dynamo #12630.
describe("a character whose bytes come in several tokens", () => {
  it("goes out whole and once, wherever the tokens cut it", () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat()), (wanted, cuts) => {
        const bytes = new TextEncoder().encode(wanted);
        const ends = [...new Set([...cuts.map((cut) => cut % bytes.length), 0])].sort((a, b) => a - b);
        const pieces = ends.map((start, index) => bytes.subarray(start, ends[index + 1]));
        const { deltas } = speak(tableOf(pieces), [...pieces.keys()]);
        expect(deltas.every((delta) => delta.isWellFormed())).toBe(true);
        expect(deltas.join("")).toBe(wanted);
      }),
    );
  });

  it.each(VOCABULARIES)("goes out whole and once from $name", ({ tokenizer }) => {
    const table = tokenizer.tokenByteTable();
    fc.assert(
      fc.property(text, (any) => {
        // SentencePiece's own sign for a space is one.
        const wanted = any.replaceAll("▁", "_");
        const { deltas } = speak(table, tokenizer.encodeText(wanted));
        expect(deltas.every((delta) => delta.isWellFormed())).toBe(true);
        expect([wanted, ` ${wanted}`]).toContain(deltas.join(""));
      }),
    );
  });

  it.each(VOCABULARIES)(
    "is replaced where the bytes are none, and all around it is right, from $name",
    ({ tokenizer }) => {
      const table = tokenizer.tokenByteTable();
      const tokens = fc.array(fc.nat({ max: tokenizer.vocabSize - 1 }), { minLength: 1 });
      fc.assert(
        fc.property(tokens, (ids) => {
          const { deltas } = speak(table, ids);
          expect(deltas.every((delta) => delta.isWellFormed())).toBe(true);
          // One that was cut off by the end of the answer does not go out.
          expect([deltas.join(""), `${deltas.join("")}\uFFFD`]).toContain(tokenizer.decode(ids));
        }),
      );
    },
  );
});

// vLLM #3574; SGLang #11446; SwiftLM #126; smg #2203; llama.cpp #9867; Camelid #731.
describe("stop strings", () => {
  const table = byteLevel.tokenByteTable();
  const letters = fc.constantFrom("a", "b", "he", "é", "한", "👍", "👍🏽");
  const words = (maxLength: number) => fc.array(letters, { minLength: 1, maxLength }).map((parts) => parts.join(""));
  const stops = fc.array(words(3), { minLength: 1, maxLength: 3 });

  /** The text of whole characters that these tokens spell. */
  const spelled = (tokens: number[]) =>
    new TextDecoder().decode(Buffer.concat(tokens.map((token) => byteLevel.tokenBytes(token))), { stream: true });

  /** What must be out after some tokens, by the definition: all but the longest end that could become a stop string. */
  function due(whole: string, list: string[]): string {
    for (let index = 0; index < whole.length; index++) {
      const end = whole.slice(index);
      if (list.some((stop) => stop.startsWith(end) && stop !== end)) return whole.slice(0, index);
    }
    return whole;
  }

  /** What the answer must be, by the definition: its text until the first stop string is complete, or all of it. */
  function wanted(tokens: number[], list: string[]) {
    for (let count = 1; count <= tokens.length; count++) {
      const whole = spelled(tokens.slice(0, count));
      const starts = list.map((stop) => whole.indexOf(stop)).filter((start) => start >= 0);
      if (starts.length > 0) return { text: whole.slice(0, Math.min(...starts)), finish: "stop", count };
    }
    return { text: spelled(tokens), finish: "length", count: tokens.length };
  }

  it("are never sent, and nothing before them is lost, sent twice or held back longer than it must", () => {
    fc.assert(
      fc.property(words(12), stops, fc.nat(), (whole, list, limit) => {
        const all = byteLevel.encodeText(whole);
        const tokens = all.slice(0, 1 + (limit % all.length));
        const answer = speak(table, tokens, { stop: list });
        const { text, finish, count } = wanted(tokens, list);
        expect(answer).toMatchObject({ text, finish });
        expect(answer.deltas).toHaveLength(count);
        expect(answer.deltas.every((delta) => delta.isWellFormed())).toBe(true);
        for (let after = 1; after < count; after++) {
          expect(answer.deltas.slice(0, after).join("")).toBe(due(spelled(tokens.slice(0, after)), list));
        }
      }),
    );
  });

  it("that are completed by the very last token of max_tokens end the answer all the same", () => {
    const tokens = byteLevel.encodeText("one 끝");
    expect(speak(table, tokens, { stop: ["끝"] })).toMatchObject({ text: "one ", finish: "stop" });
    expect(speak(table, tokens, { stop: ["끝."] })).toMatchObject({ text: "one 끝", finish: "length" });
    expect(speak(table, tokens, { stop: ["끝"], maxTokens: tokens.length - 1 })).toMatchObject({
      text: "one ",
      finish: "length",
    });
  });

  it("change nothing with log-probabilities, which come for the tokens of the text and no others", () => {
    fc.assert(
      fc.property(words(12), stops, (whole, list) => {
        const tokens = byteLevel.encodeText(whole);
        const { spoken, ...answer } = speak(table, tokens, { stop: list, logprobs: 0 });
        expect(answer).toMatchObject({ deltas: speak(table, tokens, { stop: list }).deltas });
        expect(spoken).toEqual(tokens.slice(0, spoken.length));
        expect(byteLevel.decode(spoken).startsWith(answer.text)).toBe(true);
        if (answer.finish === "stop")
          expect(spelled(spoken.slice(0, -1)).length).toBeLessThanOrEqual(answer.text.length);
        else expect(spoken).toEqual(tokens);
      }),
    );
  });

  it("that are half a character are refused: they would cut one in two", () => {
    expect(samplingSchema.safeParse({ stop: ["\ude00"] }).success).toBe(false);
    expect(samplingSchema.safeParse({ stop: ["😀"] }).success).toBe(true);
  });
});
