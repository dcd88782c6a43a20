import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { argmax } from "../../gpu-worker/engine/sampler.ts";
import { buildDecoder, type DecoderConfig } from "../../gpu-worker/graph/decoder.ts";
import type { WeightLayout } from "../../gpu-worker/graph/precision.ts";
import { serialiseGraph } from "../../gpu-worker/graph/serialise.ts";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { openShards } from "../../gpu-worker/model/shards.ts";
import { ensureDecoder, GRAPH_FILE } from "../../gpu-worker/runtime/decoder-files.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { serve } from "../../gpu-worker/server/serve.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { INT8_LAYOUTS } from "../fixtures/int8-layouts.ts";
import { modelGguf } from "../fixtures/model-gguf.ts";
import { PUBLISHED_MODELS, publishedModel } from "../fixtures/published-models.ts";
import { writeGguf } from "../fixtures/tiny-gguf.ts";
import { signedClient } from "./signed-client.ts";

const SERVING = {
  id: "published",
  host: "127.0.0.1",
  port: 0,
  secret: "a-secret-for-tests-only",
  threads: 1,
  rows: 1,
  queue: 1,
  queueTokens: 400,
  kvMemory: 16,
  prefixMemory: 4,
};

let temporary: string;
beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "attune-published-"));
});
afterAll(() => rm(temporary, { recursive: true }));

/** Writes a model directory's weights as llama.cpp's converter does. */
async function writeAsGguf(name: string, directory: string): Promise<string> {
  const path = join(temporary, `${name}.gguf`);
  const checkpoint = await openCheckpoint(directory);
  const weights = await openShards(directory);
  try {
    const tensors = await Promise.all(
      weights.tensorNames.map(async (tensor) => ({
        name: tensor,
        shape: weights.shape(tensor),
        values: await weights.readFloat32(tensor),
      })),
    );
    await writeGguf(path, modelGguf(name === "qwen2" ? "qwen2" : "llama", checkpoint.config, tensors));
    return path;
  } finally {
    await weights.close();
    await checkpoint.close();
  }
}

/** Loads a model through its graph and hands it over. */
async function withSession<T>(
  path: string,
  layout: WeightLayout,
  use: (session: DecoderSession, config: DecoderConfig) => T,
): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    const { config, weights } = checkpoint;
    const onnx = await serialiseGraph(buildDecoder(config, weights, layout), null);
    const session = new DecoderSession(onnx, config, 1);
    try {
      return use(session, config);
    } finally {
      session.release();
    }
  } finally {
    await checkpoint.close();
  }
}

/** The logits after the tokens at `places`, [places][vocab]. */
function logitsAfter(session: DecoderSession, config: DecoderConfig, tokens: number[], places: number[]) {
  const cache = session.allocate(1, tokens.length);
  const logits = session.run({ cache, firstSlot: 0, tokens: [tokens], computed: [0], logitRows: places });
  return places.map((_, row) => logits.subarray(row * config.vocab, (row + 1) * config.vocab));
}

/** Greedy tokens, each from the keys and values of those before. */
function greedy(session: DecoderSession, prompt: number[], count: number) {
  const cache = session.allocate(1, prompt.length + count);
  const answer: number[] = [];
  let piece = prompt;
  let computed = 0;
  while (answer.length < count) {
    const next = argmax(session.run({ cache, firstSlot: 0, tokens: [piece], computed: [computed] }));
    computed += piece.length;
    answer.push(next);
    piece = [next];
  }
  return answer;
}

function worstDifference(actual: Float32Array[], wanted: number[][]): number {
  return Math.max(
    ...wanted.flatMap((row, at) => row.map((value, index) => Math.abs((actual[at]?.[index] ?? Number.NaN) - value))),
  );
}

describe.each(PUBLISHED_MODELS)("a model like $name", ({ name, directory, expected }) => {
  const places = expected.logits.map(({ after }) => after);
  const wanted = expected.logits.map(({ values }) => values);

  it.each(["safetensors", "GGUF"])("computes what transformers computes, from %s", async (format) => {
    const path = format === "GGUF" ? await writeAsGguf(name, directory) : directory;
    await withSession(path, "fp32", (session, config) => {
      const logits = logitsAfter(session, config, expected.tokens, places);
      expect(worstDifference(logits, wanted)).toBeLessThan(1e-4);
      const { prompt, tokens } = expected.greedy;
      expect(greedy(session, prompt, tokens.length)).toEqual(tokens);
    });
  });

  it.each(INT8_LAYOUTS)("stays close with weights as %s, and keeps those it cannot quantise", async (layout) => {
    await withSession(directory, layout, (session, config) => {
      const logits = logitsAfter(session, config, expected.tokens, places);
      const spread = Math.max(...wanted.flat()) - Math.min(...wanted.flat());
      expect(worstDifference(logits, wanted)).toBeLessThan(spread * 0.05);
    });
  });
});

describe("a model directory", () => {
  it("is built once for its weights and precision", async () => {
    const { directory } = publishedModel("llama3");
    const built = await ensureDecoder(directory, { cache: temporary });
    const { ino } = await stat(join(built, GRAPH_FILE));
    expect(await ensureDecoder(directory, { cache: temporary })).toBe(built);
    expect((await stat(join(built, GRAPH_FILE))).ino).toBe(ino);
    expect(await ensureDecoder(directory, { cache: temporary, precision: "fp32" })).not.toBe(built);
  });

  it("is served like a GGUF file, by its own template and tokenizer", async () => {
    vi.stubEnv("ATTUNE_CACHE_DIR", temporary);
    const { directory, expected } = publishedModel("mistral");
    const [chat] = expected.chats;
    const worker = await serve({ ...SERVING, model: directory, precision: "fp32" }, pino({ enabled: false }));
    try {
      await worker.ready;
      const answer = await signedClient(worker.url, SERVING.secret).send("POST", GENERATIONS_PATH, {
        generation: "gen_published001",
        dialect: "openai",
        model: SERVING.id,
        messages: chat?.messages,
        steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
        stream: false,
        include_usage: false,
        sampling: { temperature: 0, max_tokens: 4 },
      });
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({ usage: { prompt_tokens: chat?.ids.length } });
    } finally {
      await worker.close(5);
      vi.unstubAllEnvs();
    }
  });
});
