import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import { Metrics } from "../../gpu-worker/server/metrics.ts";
import { requestClock } from "../../gpu-worker/server/request-clock.ts";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { samplingSchema, usageSchema } from "../../schema/api/chat.ts";
import type { Level } from "../../schema/attributes.ts";
import { deadlineExceeded } from "../../schema/wire/errors.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { TINY_SECRET as SECRET, startTinyWorker, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

const LABELS = 'model_name="tiny",engine="0"';

/** The samples of a scrape by name and labels. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** What a scrape says of the tiny model. */
function scraped(text: string) {
  const samples = samplesOf(text);
  return (name: string, more = "") => samples.get(`${name}{${LABELS}${more}}`);
}

describe("a scrape after known traffic", () => {
  let model: Awaited<ReturnType<typeof writeTinyModel>>;
  let worker: RunningWorker;
  let count = 0;

  beforeAll(async () => {
    model = await writeTinyModel();
    vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
    const profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
    worker = await startTinyWorker(model.path, { profile });
  });
  afterAll(async () => {
    await worker.close(5);
    await model.remove();
  });

  const scrape = async () => scraped(await (await fetch(`${worker.url}/metrics`)).text());

  /** Asks about one conversation under a label line. @returns the usage */
  async function ask(
    verbosity: Level,
    maxTokens: number,
    fields: { strength?: number; n?: number; content?: string } = {},
  ) {
    const { strength, n, content = "tell me about rainbows" } = fields;
    const response = await signedClient(worker.url, SECRET).send("POST", GENERATIONS_PATH, {
      generation: `gen_count${String(++count).padStart(8, "0")}`,
      dialect: "openai",
      model: "tiny",
      messages: [{ role: "user", content }],
      steering: {
        effective: { verbosity },
        method: "label_line",
        ...(strength !== undefined && { guidance: { strength, against: {} } }),
        preset: null,
        clamped: [],
        not_trained: [],
        note: null,
      },
      ...(n !== undefined && { n }),
      sampling: { max_tokens: maxTokens, ignore_eos: true },
      stream: false,
      include_usage: false,
    });
    expect(response.status).toBe(200);
    const { usage } = (await response.json()) as { usage: unknown };
    return usageSchema.parse(usage);
  }

  it("counts nothing before the first request, and shows that it counts", async () => {
    const value = await scrape();
    for (const name of ["vllm:prompt_tokens", "vllm:generation_tokens", "attune:label_line_cache_hits"]) {
      expect(value(`${name}_total`)).toBe(0);
    }
    expect(value("vllm:request_success_total", ',finished_reason="stop"')).toBe(0);
    expect(value("attune:deadline_expired_total", ',stage="waiting"')).toBe(0);
    expect(value("vllm:num_requests_running")).toBe(0);
    expect(value("attune:weight_set_loaded", ',adapter=""')).toBe(1);
    expect(value("attune:weight_set_bytes")).toBeGreaterThan(0);
  });

  it("has every token, every answer and every time once", async () => {
    const first = await ask(1, 8);
    const second = await ask(4, 6);
    const value = await scrape();
    const prompts = first.prompt_tokens + second.prompt_tokens;
    const cached = value("vllm:prefix_cache_hits_total") ?? 0;
    expect(cached).toBeGreaterThan(0);
    expect(cached).toBeLessThan(second.prompt_tokens);
    expect(value("vllm:prompt_tokens_total")).toBe(prompts);
    expect(value("vllm:prompt_tokens_cached_total")).toBe(cached);
    expect(value("vllm:prefix_cache_queries_total")).toBe(prompts);
    expect(value("vllm:generation_tokens_total")).toBe(14);
    expect(value("vllm:request_success_total", ',finished_reason="length"')).toBe(2);
    // The last token of an answer is never computed.
    expect(value("vllm:iteration_tokens_total_sum")).toBe(prompts - cached + 14 - 2);
    expect(value("vllm:inter_token_latency_seconds_count")).toBe(14 - 2);
    for (const name of [
      "vllm:time_to_first_token_seconds",
      "vllm:request_time_per_output_token_seconds",
      "vllm:e2e_request_latency_seconds",
      "vllm:request_queue_time_seconds",
      "vllm:request_prefill_time_seconds",
      "vllm:request_decode_time_seconds",
      "vllm:request_inference_time_seconds",
    ]) {
      expect(value(`${name}_count`), name).toBe(2);
    }
    expect(value("vllm:request_prompt_tokens_sum")).toBe(prompts);
    expect(value("vllm:request_generation_tokens_sum")).toBe(14);
    expect(value("vllm:request_params_max_tokens_sum")).toBe(14);
    expect(value("vllm:request_params_n_sum")).toBe(2);
    expect(value("vllm:num_requests_running")).toBe(0);
    expect(value("vllm:num_requests_waiting")).toBe(0);
    expect(value("vllm:kv_cache_usage_perc")).toBe(0);
    expect(value("attune:prefix_cache_bytes")).toBeGreaterThan(0);
  });

  it("tells label lines that were all there was to read from conversations that were new", async () => {
    const earlier = await scrape();
    await ask(0, 2);
    await ask(3, 2, { content: "something else altogether" });
    const value = await scrape();
    const since = (name: string) => (value(name) ?? 0) - (earlier(name) ?? 0);
    expect(since("attune:label_line_requests_total")).toBe(2);
    expect(since("attune:label_line_cache_hits_total")).toBe(1);
  });

  it("counts each choice of a request, and the rows that guidance takes", async () => {
    const earlier = await scrape();
    const { completion_tokens } = await ask(2, 4, { n: 2 });
    expect(completion_tokens).toBe(8);
    await ask(2, 4, { strength: 2 });
    const value = await scrape();
    const since = (name: string, more = "") => (value(name, more) ?? 0) - (earlier(name, more) ?? 0);
    expect(since("vllm:generation_tokens_total")).toBe(12);
    expect(since("vllm:request_success_total", ',finished_reason="length"')).toBe(3);
    expect(since("vllm:request_params_n_sum")).toBe(3);
    expect(since("vllm:request_params_n_count")).toBe(2);
    expect(since("attune:guidance_rows_total")).toBe(1);
  });
});

/** By a clock that the test moves. */
describe("an answer's clock", () => {
  const request = (more: Partial<GenerationRequest> = {}): GenerationRequest => ({
    id: "gen_clock",
    prompt: Array.from({ length: 200 }, (_, index) => index),
    sampling: samplingSchema.parse({}),
    maxTokens: 20,
    ...more,
  });

  function start(more: Partial<GenerationRequest> = {}) {
    const metrics = new Metrics();
    const clock = { now: 1000 };
    const counted = metrics.of("tiny", { engine: () => null, weights: { adapter: null, bytes: null } });
    const heard = requestClock(counted, request(more), () => clock.now);
    return { clock, heard, read: async () => scraped(await metrics.render()) };
  }

  it("splits the time of an answer where it got its row, and at its first and last token", async () => {
    const { clock, heard, read } = start();
    clock.now = 1300;
    // The engine tells of it later than it was.
    heard.onStarted(50, 1200);
    heard.onText("a", 1, []);
    clock.now = 1700;
    heard.onText("bc", 3, []);
    clock.now = 1750;
    heard.onEnd({ kind: "finished", reason: "stop", completionTokens: 3 });
    const value = await read();
    const sums = {
      "vllm:request_queue_time_seconds": 0.2,
      "vllm:request_prefill_time_seconds": 0.1,
      "vllm:request_decode_time_seconds": 0.4,
      "vllm:request_inference_time_seconds": 0.5,
      "vllm:request_time_per_output_token_seconds": 0.2,
      "vllm:time_to_first_token_seconds": 0.3,
      "vllm:inter_token_latency_seconds": 0.4,
      "vllm:e2e_request_latency_seconds": 0.75,
    };
    for (const [name, sum] of Object.entries(sums)) expect(value(`${name}_sum`), name).toBeCloseTo(sum);
    expect(value("vllm:generation_tokens_total")).toBe(3);
  });

  it("takes no times of answers that were not finished, and counts why", async () => {
    for (const [ending, reason] of [
      [{ kind: "cancelled", completionTokens: 1 }, "abort"],
      [{ kind: "failed", completionTokens: 1, reason: "broken" }, "error"],
    ] as const) {
      const { heard, read } = start();
      heard.onStarted(0, 1000);
      heard.onText("a", 1, []);
      heard.onEnd(ending);
      const value = await read();
      expect(value("vllm:request_success_total", `,finished_reason="${reason}"`)).toBe(1);
      expect(value("vllm:e2e_request_latency_seconds_count")).toBeUndefined();
      expect(value("vllm:generation_tokens_total")).toBe(1);
    }
  });

  it("counts deadlines by what they cut off", async () => {
    const waiting = start();
    waiting.heard.onEnd({ kind: "failed", completionTokens: 0, reason: "late", error: deadlineExceeded() });
    expect((await waiting.read())("attune:deadline_expired_total", ',stage="waiting"')).toBe(1);
    const generating = start();
    generating.heard.onStarted(0, 1000);
    generating.heard.onEnd({ kind: "finished", reason: "length", completionTokens: 0, timeUp: true });
    expect((await generating.read())("attune:deadline_expired_total", ',stage="generating"')).toBe(1);
  });

  it.each([
    [{}, 150, 149, 0],
    [{}, 150, 150, 1],
    [{}, 150, 180, 1],
    [{ seed: 1 }, 150, 149, 0],
    [{ seed: 1 }, 150, 150, 1],
    [{}, undefined, 199, undefined],
  ])(
    "with %j and %s tokens before the label line, of which %s are cached, is a hit: %s",
    async (how, before, cached, hit) => {
      const conversation = before === undefined ? {} : { conversationTokens: before };
      const { heard, read } = start({ sampling: samplingSchema.parse(how), ...conversation });
      heard.onStarted(cached, 1000);
      const value = await read();
      expect(value("attune:label_line_requests_total")).toBe(hit === undefined ? 0 : 1);
      expect(value("attune:label_line_cache_hits_total")).toBe(hit ?? 0);
    },
  );
});
