import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { renderPrompt } from "../../../gpu-worker/model/chat-template.ts";
import { type Checkpoint, openCheckpoint } from "../../../gpu-worker/model/checkpoint.ts";
import { PUBLISHED_MODELS, publishedModel } from "../../fixtures/published-models.ts";

const STEERING = { effective: {}, method: "none" as const, preset: null, clamped: [], not_trained: [], note: null };

async function read<T>(directory: string, part: (checkpoint: Checkpoint) => T | Promise<T>): Promise<T> {
  const checkpoint = await openCheckpoint(directory);
  try {
    return await part(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

describe.each(PUBLISHED_MODELS)("a model directory like $name", ({ directory, expected }) => {
  test("tokenises every text as transformers does", async () => {
    const tokenizer = await read(directory, (checkpoint) => checkpoint.readTokenizer());
    for (const { text, ids, bos } of expected.texts) {
      expect(tokenizer.encodeText(text), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.requiredBos === null ? ids.slice(0, 1) : [tokenizer.requiredBos]).toEqual(bos);
    }
  });

  test("renders and tokenises every chat as transformers does", async () => {
    const tokenizer = await read(directory, (checkpoint) => checkpoint.readTokenizer());
    const template = await read(directory, (checkpoint) => checkpoint.readTemplate());
    for (const { messages, ids } of expected.chats) {
      expect(renderPrompt(tokenizer, template, { messages, steering: STEERING, profile: null }).ids).toEqual(ids);
    }
  });

  test("gives every text back, and makes a marker of none", async () => {
    const tokenizer = await read(directory, (checkpoint) => checkpoint.readTokenizer());
    const markers = new Set(tokenizer.markerIds.values());
    expect(markers.size).toBeGreaterThan(0);
    const parts = [...tokenizer.markerIds.keys(), "<0xE2>", "<0x0A>", "▁", " ", "\n", "e\u0301", "👋🏽", "\ud83d"];
    const hostile = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...parts)));
    fc.assert(
      fc.property(hostile, (pieces) => {
        const text = pieces.join("");
        const ids = tokenizer.encodeText(text);
        expect(ids.some((id) => markers.has(id))).toBe(false);
        expect(Buffer.byteLength(text.toWellFormed())).toBeLessThanOrEqual(ids.length * tokenizer.longestToken);
        // SentencePiece writes a space as ▁ and puts one in front; Qwen2 composes.
        const plain = (spelled: string) => spelled.replaceAll("▁", " ").normalize("NFC").trimStart();
        expect(plain(tokenizer.decode(ids))).toBe(plain(text.toWellFormed()));
      }),
    );
  });
});

describe("a model directory", () => {
  test("says how its publisher would sample, and which tokens end an answer", async () => {
    const llama3 = publishedModel("llama3").directory;
    expect(await read(llama3, (model) => model.readSampling())).toMatchObject({
      temperature: 0.6,
      top_p: 0.9,
      top_k: 0,
    });
    expect((await read(llama3, (model) => model.readTokenizer())).eosIds).toEqual(new Set([1, 4]));
    const qwen2 = publishedModel("qwen2").directory;
    expect(await read(qwen2, (model) => model.readSampling())).toMatchObject({
      temperature: 0.7,
      top_p: 0.8,
      top_k: 20,
    });
  });

  test("that recommends no sampling is sampled as OpenAI's API does", async () => {
    const { directory } = publishedModel("mistral");
    expect(await read(directory, (model) => model.readSampling())).toMatchObject({
      temperature: 1,
      top_p: 1,
      top_k: 0,
    });
  });

  test("with sliding attention has the context of its window, within which that is full attention", async () => {
    expect(await read(publishedModel("mistral").directory, (model) => model.config.contextLength)).toBe(48);
    expect(await read(publishedModel("qwen2").directory, (model) => model.config.contextLength)).toBe(512);
  });

  test("has the same hash while its weights are the same, in one file or in several", async () => {
    for (const name of ["llama2", "llama3"]) {
      const { directory } = publishedModel(name);
      const hash = await read(directory, (model) => model.contentHash());
      expect(hash).toMatch(/^[0-9a-f]{64}$/);
      expect(await read(directory, (model) => model.contentHash())).toBe(hash);
    }
  });
});
