import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { EngineClient } from "../../gpu-worker/engine/client.ts";
import { failMask, sharedMask } from "../../gpu-worker/engine/token-mask.ts";
import { DEBUG_STATE_PATH, type DebugState, fetchDebugState } from "../../gpu-worker/server/debug-state.ts";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { runGeneration } from "../fixtures/run-generation.ts";
import { TINY_CONFIG, tinyDecoder, writeTinyModel } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";
import { TINY_SECRET as SECRET, startTinyWorker } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

const QUESTION = "a question nobody else may read";

describe("the state of a worker", () => {
  let model: Awaited<ReturnType<typeof writeTinyModel>>;
  let worker: RunningWorker;
  let count = 0;

  beforeAll(async () => {
    model = await writeTinyModel();
    vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
    worker = await startTinyWorker(model.path, { rows: 1 });
  });
  afterAll(async () => {
    await worker.close(5);
    await model.remove();
  });

  /** Begins a stream that is left at the end of the test. */
  async function begin(fields: object = {}) {
    const generation = `gen_state${String(++count).padStart(8, "0")}`;
    const left = new AbortController();
    onTestFinished(() => left.abort());
    const body = {
      generation,
      dialect: "openai",
      model: "tiny",
      messages: [{ role: "user", content: QUESTION }],
      steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
      sampling: { temperature: 0, ignore_eos: true, max_tokens: 400 },
      stream: true,
      include_usage: false,
      ...fields,
    };
    const client = signedClient(worker.url, SECRET);
    const response = await client.send("POST", GENERATIONS_PATH, body, { signal: left.signal });
    return { generation, reader: response.body?.getReader() };
  }

  const state = async () => (await fetchDebugState(worker.url, SECRET)) as DebugState;

  it("is told only to who signs with the worker's secret", async () => {
    expect((await fetch(worker.url + DEBUG_STATE_PATH)).status).toBe(401);
    await expect(fetchDebugState(worker.url, "another-secret-entirely")).rejects.toThrow(/401.*invalid_signature/);
  });

  it("names who waits and who is computed, in the queue's order, and never what they ask", async () => {
    const running = await begin();
    await running.reader?.read();
    const flex = await begin({ priority: 1, deadline_ms: 60_000 });
    const waiting = await begin();
    const seen = await state();
    const [tiny] = seen.models;
    expect(tiny).toMatchObject({
      id: "tiny",
      weights: { adapter: null, state: "ready", bytes: expect.any(Number) },
      engine: {
        ready: true,
        queue: [
          { id: waiting.generation, priority: 0, deadline_in_ms: null },
          { id: flex.generation, priority: 1, deadline_in_ms: expect.any(Number) },
        ],
        running: [{ id: running.generation, phase: "decode", rows: 1, cached_tokens: 0 }],
        kv_pool: { cap_bytes: 64 * 1024 * 1024, slots: 1 },
        prefix_cache: { cap_bytes: 16 * 1024 * 1024, hit_rate: 0 },
        last_step: { decode_rows: 1 },
      },
    });
    const [answer] = tiny?.engine?.running ?? [];
    expect(answer?.completion_tokens).toBeGreaterThan(0);
    expect(answer?.computed_tokens).toBeGreaterThanOrEqual(answer?.prompt_tokens ?? Number.NaN);
    expect(tiny?.engine?.kv_pool?.used_bytes).toBeGreaterThan(0);
    expect(seen.memory.rss_bytes).toBeGreaterThan(seen.memory.heap_used_bytes);
    expect(seen.uptime_seconds).toBeGreaterThan(0);
    const text = JSON.stringify(seen);
    expect(text).not.toContain("question");
    expect(text).not.toContain(SECRET);
  });

  it("is printed by the command line, which signs with the secret of `serve`", async () => {
    const cli = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
    const env = { ...process.env, ATTUNE_WORKER_SECRET: SECRET };
    const { stdout } = await promisify(execFile)(process.execPath, [cli, "state", "--url", worker.url], { env });
    expect(JSON.parse(stdout)).toMatchObject({ models: [{ id: "tiny" }] });
  });
});

describe("an engine that is stuck in a step", () => {
  it("is told about from what it last reported, and how long ago that was", async () => {
    const tokenizer = tinyTokenizer();
    const client = new EngineClient(
      {
        model: await tinyDecoder("int8-blocks"),
        config: TINY_CONFIG,
        tokens: tokenizer.tokenByteTable(),
        eosIds: [],
        threads: 1,
        options: { rows: 2, kvBytes: 2 ** 26, prefixBytes: 0, mixedTokens: 64, prefillTokens: 64 },
      },
      { queuedRequests: 4, queuedTokens: 1000 },
    );
    onTestFinished(() => client.close());
    await client.ready;
    const sampling = samplingSchema.parse({ temperature: 0 });
    const prompt = [5, 6, 7];
    await runGeneration(client, { id: "before", prompt, sampling, maxTokens: 3 });
    const last = client.inspect().last_step;

    // The engine waits for a mask that nobody computes, in the middle of its step.
    const mask = sharedMask(tokenizer.vocabSize);
    const stuck = runGeneration(client, { id: "stuck", prompt, sampling, maxTokens: 3, mask });
    await expect.poll(() => client.inspect().silence_seconds).toBeGreaterThan(0.05);
    const later = client.inspect();
    expect(later).toMatchObject({
      queue: [{ id: "stuck", prompt_tokens: 3 }],
      last_step: { seconds: last?.seconds, decode_rows: last?.decode_rows },
    });
    expect(later.last_step?.age_ms).toBeGreaterThanOrEqual(50);
    failMask(mask);
    expect(await stuck).toMatchObject({ kind: "failed" });
  });
});
