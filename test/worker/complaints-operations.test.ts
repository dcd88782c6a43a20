/** What users of other servers complain about, as promises: health, limits, memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { Engine } from "../../gpu-worker/engine/engine.ts";
import { kvPoolBytes } from "../../gpu-worker/engine/kv-pool.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { fetchDebugState } from "../../gpu-worker/server/debug-state.ts";
import { GenerationLog } from "../../gpu-worker/server/generation-log.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { startPacedWorker } from "../fixtures/paced-worker.ts";
import { TINY_CONFIG, tinyDecoder, writeTinyModel } from "../fixtures/tiny-llama.ts";
import { questionBody } from "../fixtures/tiny-server.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";
import { TINY_SECRET as SECRET, startTinyWorker } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

const PATIENCE = { timeout: 10_000 };

type Paced = Awaited<ReturnType<typeof startPacedWorker>>;

// llama.cpp #27388, #16448, #20509.
describe("a worker whose engine is stuck in a step", () => {
  const probe = async ({ url }: Paced, path: string) => {
    const response = await fetch(url + path);
    const { status } = z.object({ status: z.string() }).parse(await response.json());
    return [response.status, status];
  };

  it("says so, still answers, and is well again once the step is over", async () => {
    const worker = await startPacedWorker({ rows: 1, stuckAfter: 0.3 });
    await expect.poll(() => probe(worker, "/healthz"), PATIENCE).toEqual([503, "stuck"]);
    expect(await probe(worker, "/readyz")).toEqual([503, "stuck"]);
    expect(await worker.metric("vllm:num_requests_running")).toBe(1);
    worker.release();
    await expect.poll(() => probe(worker, "/healthz"), PATIENCE).toEqual([200, "ok"]);
    expect(await probe(worker, "/readyz")).toEqual([200, "ready"]);
  });

  it("is not taken for one that has nothing to do", async () => {
    const worker = await startPacedWorker({ rows: 1, stuckAfter: 0 });
    await expect.poll(() => probe(worker, "/healthz"), PATIENCE).toEqual([503, "stuck"]);
    worker.release();
    await expect.poll(() => worker.client.running + worker.client.waiting, PATIENCE).toBe(0);
    expect(await probe(worker, "/healthz")).toEqual([200, "ok"]);
  });
});

// vLLM #2901, #18826, #13395; the bound on prompt tokens is its #49445.
describe("a queue", () => {
  const work = async (worker: Paced) => ({
    begun: await worker.metric("vllm:prompt_tokens_total"),
    computed: await worker.metric("vllm:iteration_tokens_total_sum"),
    generated: await worker.metric("vllm:generation_tokens_total"),
    waiting: await worker.metric("vllm:num_requests_waiting"),
  });

  const refused = (worker: Paced) => worker.metric('attune:requests_refused_total{code="queue_full"}');

  it.each([
    ["requests", { queuedRequests: 2 }, ["one", "two"], "three"],
    ["prompt tokens", { queuedTokens: 400 }, ["x".repeat(200)], "y".repeat(200)],
  ])("that is full of %s refuses the next with 429, before any work", async (_, limits, fitting, tooMuch) => {
    const worker = await startPacedWorker({ rows: 1, ...limits });
    for (const content of fitting) expect((await worker.ask({ content }).response).status).toBe(200);
    const before = await work(worker);
    expect(before.waiting).toBe(fitting.length);
    const response = await worker.ask({ content: tooMuch }).response;
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await response.json()).toMatchObject({ error: { code: "queue_full" } });
    expect(await work(worker)).toEqual(before);
    expect(await refused(worker)).toBe(1);
    await worker.step();
    expect(await work(worker)).toEqual({ ...before, computed: before.computed + 1 });
  });

  it("that is full of prompt tokens still takes a short request", async () => {
    const worker = await startPacedWorker({ rows: 1, queuedTokens: 400 });
    await worker.ask({ content: "x".repeat(200) }).response;
    expect((await worker.ask({ content: "y".repeat(200) }).response).status).toBe(429);
    expect((await worker.ask({ content: "short" }).response).status).toBe(200);
  });
});

// llama.cpp #25740, #25953; vLLM #28726; onnxruntime #25325, #26831.
describe("memory", () => {
  let session: DecoderSession;
  let model: Awaited<ReturnType<typeof writeTinyModel>>;
  beforeAll(async () => {
    session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
    model = await writeTinyModel();
    vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  });
  afterAll(async () => {
    session.release();
    await model.remove();
  });

  /** What this thread holds, garbage left out. */
  const memory = () => {
    setFlagsFromString("--expose-gc");
    const collect: () => void = runInNewContext("gc");
    collect();
    collect();
    return process.memoryUsage();
  };

  it("of many different prompts stays within the caps, and is what the engine says it is", async () => {
    const [kvBytes, prefixBytes] = [kvPoolBytes(TINY_CONFIG)(3, 128), 2 ** 20];
    const options = { rows: 4, kvBytes, prefixBytes, mixedTokens: 64, prefillTokens: 256 };
    const before = memory().arrayBuffers;
    const engine = new Engine(session, { tokens: tinyTokenizer().tokenByteTable(), eosIds: new Set() }, options);
    const [kv, prefixes]: [number[], number[]] = [[], []];
    const serveRound = async (round: number) => {
      for (let index = 0; index < 10; index++) {
        const length = 20 + ((round * 31 + index * 17) % 100);
        const prompt = Array.from({ length }, (_, at) => 3 + ((at * 37 + round * 101 + index * 53) % 256));
        const sampling = samplingSchema.parse({});
        engine.submit({ id: `r${round}.${index}`, prompt, sampling, maxTokens: 4 });
      }
      while (engine.busy) {
        const report = await engine.step();
        kv.push(report.kvBytes);
        prefixes.push(report.prefixBytes);
      }
    };
    for (let round = 0; round < 10; round++) await serveRound(round);
    const warm = memory().arrayBuffers;
    for (let round = 10; round < 40; round++) await serveRound(round);
    expect(Math.max(...kv)).toBeLessThanOrEqual(kvBytes);
    expect(Math.max(...prefixes)).toBeLessThanOrEqual(prefixBytes);
    expect(Math.max(...prefixes)).toBeGreaterThan(prefixBytes * 0.9);
    // What it reports is all it holds, and three times as many prompts do not change that.
    const reported = (kv.at(-1) ?? 0) + (prefixes.at(-1) ?? 0);
    expect(Math.abs(memory().arrayBuffers - before - reported)).toBeLessThan(2 ** 18);
    expect(memory().arrayBuffers - warm).toBeLessThan(2 ** 16);
  });

  it("of what became of earlier generations is bounded, however long one of them runs", async () => {
    const log = new GenerationLog();
    log.begin("running", 1);
    for (let index = 0; index < 20_000; index++) {
      log.begin(`r${index}`, 1);
      log.end(`r${index}`, "completed", 1);
    }
    expect(await log.report("r0")).toBeNull();
    expect(await log.report("r19999")).toMatchObject({ state: "completed" });
    log.end("running", "completed", 1);
    expect(await log.report("running")).toMatchObject({ state: "completed" });
  });

  it("of a worker does not grow with the requests it has served, and its gauges are its state", async () => {
    const limits = { queue: 64, queueTokens: 100_000, kvMemory: 8, prefixMemory: 1 };
    const worker = await startTinyWorker(model.path, limits);
    onTestFinished(() => worker.close(1));
    const client = signedClient(worker.url, SECRET);
    const steering = { effective: {}, method: "none" };
    const sampling = { max_tokens: 2 };
    const serveMany = async (requests: number) => {
      for (let index = 0; index < requests; index += 4) {
        const bodies = [0, 1, 2, 3].map((more) =>
          questionBody({ content: `${index + more} and ${requests}`, steering, sampling, stream: more % 2 === 0 }),
        );
        const responses = await Promise.all(bodies.map((body) => client.send("POST", GENERATIONS_PATH, body)));
        for (const response of responses) {
          expect(response.status).toBe(200);
          await response.text();
        }
      }
    };
    await serveMany(100);
    const warm = memory();
    await serveMany(400);
    const now = memory();
    expect(now.arrayBuffers - warm.arrayBuffers).toBeLessThan(2 ** 20);
    // What it remembers of each request, so that it is not accepted twice and its usage can be asked for.
    expect(now.heapUsed - warm.heapUsed).toBeLessThan(400 * 2 ** 13);

    const gauges = await (await fetch(`${worker.url}/metrics`)).text();
    const gauge = (name: string) => Number(new RegExp(`^${name}{[^}]*} (.+)$`, "m").exec(gauges)?.[1]);
    const state = await fetchDebugState(worker.url, SECRET);
    expect(state).toMatchObject({
      models: [
        {
          engine: {
            kv_pool: { bytes: gauge("attune:kv_pool_bytes"), cap_bytes: 2 ** 23 },
            prefix_cache: { bytes: gauge("attune:prefix_cache_bytes"), cap_bytes: 2 ** 20 },
          },
        },
      ],
    });
    expect(gauge("attune:kv_pool_bytes")).toBeLessThanOrEqual(2 ** 23);
    expect(gauge("attune:prefix_cache_bytes")).toBeLessThanOrEqual(2 ** 20);
    expect(gauge("attune:prefix_cache_bytes")).toBeGreaterThan(0);
  });
});
