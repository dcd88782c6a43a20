import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import { RemoteEngine } from "../../gpu-worker/engine/remote-engine.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { RECORDED, RECORDED_MODEL, type RecordedName, writeTraffic } from "../fixtures/remote-traffic.ts";
import { askWorker, RECORDED_QUESTION, startWorker } from "../fixtures/remote-worker.ts";
import { runGeneration } from "../fixtures/run-generation.ts";
import { startLlamaServer } from "./llama-server.ts";
import { startRecorder } from "./recorder.ts";

const LIMITS = { queuedRequests: 8, queuedTokens: 4000 };

let llama: Awaited<ReturnType<typeof startLlamaServer>>;
let recorder: Awaited<ReturnType<typeof startRecorder>> | null = null;
let engine: RemoteEngine;

beforeAll(async () => {
  llama = await startLlamaServer(RECORDED_MODEL);
  if (process.env.ATTUNE_TEST_RECORD === "1") recorder = await startRecorder(llama.url);
  engine = new RemoteEngine({ url: recorder?.url ?? llama.url }, LIMITS);
  await engine.ready;
  await record("connect");
});
afterAll(async () => {
  await engine.close();
  await recorder?.close();
  await llama.stop();
});

/** Keeps what went through since the last call as a fixture, where this run is one that records. */
async function record(name: string): Promise<void> {
  if (recorder === null) return;
  const isHealth = (path: string) => path === "/health";
  const seen = recorder.take();
  // Health is asked for all the time, and once is enough.
  await writeTraffic(
    name,
    seen.filter(({ request }, index) => (name === "connect" && index === 0) || !isHealth(request.path)),
  );
}

async function run(name: RecordedName) {
  recorder?.take();
  const outcome = await runGeneration(engine, RECORDED[name]);
  await record(name);
  return outcome;
}

/** What llama.cpp's own route answers, at once. */
async function direct(request: GenerationRequest, more: object = {}) {
  const body = { prompt: request.prompt, n_predict: request.maxTokens, temperature: 0, ...more };
  const response = await fetch(`${llama.url}/completion`, { method: "POST", body: JSON.stringify(body) });
  const answer = (await response.json()) as { content: string; tokens_predicted: number; stop_type: string };
  return { text: answer.content, tokens: answer.tokens_predicted, stopped: answer.stop_type };
}

async function busySlots(): Promise<number> {
  const response = await fetch(`${llama.url}/slots`);
  const slots = (await response.json()) as { is_processing: boolean }[];
  return slots.filter((slot) => slot.is_processing).length;
}

const endlessly = (id: string, sampling: object = {}): GenerationRequest => ({
  ...RECORDED.end,
  id,
  sampling: samplingSchema.parse({ temperature: 0, ignore_eos: true, ...sampling }),
  maxTokens: 400,
});

describe("an engine that is llama.cpp's server", () => {
  it("gives llama.cpp's own greedy answer, piece by piece, with its count of tokens", async () => {
    const outcome = await run("length");
    const { text, tokens } = await direct(RECORDED.length);
    expect(outcome).toMatchObject({ kind: "finished", reason: "length", text, completionTokens: tokens });
    expect(outcome.counts).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
  });

  it("stops before a stop string", async () => {
    const outcome = await run("stop");
    const { text, tokens, stopped } = await direct(RECORDED.stop, { stop: RECORDED.stop.sampling.stop });
    expect(stopped).toBe("word");
    expect(outcome).toMatchObject({ kind: "finished", reason: "stop", text, completionTokens: tokens });
  });

  it("ends where the model ends, unless it is told not to", async () => {
    const { text, tokens, stopped } = await direct(RECORDED.end);
    expect(stopped).toBe("eos");
    expect(await run("end")).toMatchObject({ reason: "stop", text, completionTokens: tokens });
    const endless = { ...endlessly("endless"), maxTokens: tokens + 4 };
    expect(await runGeneration(engine, endless)).toMatchObject({ reason: "length", completionTokens: tokens + 4 });
  });

  it("keeps characters whole whose bytes are spread over tokens", async () => {
    const { text, counts } = await run("emoji");
    expect(text).toMatch(/\p{Extended_Pictographic}/u);
    expect(text.isWellFormed() && !text.includes("\ufffd")).toBe(true);
    // Some tokens complete no character, and are counted with the next that does.
    expect(counts.length).toBeLessThan(16);
  });

  it("reports log-probabilities by token id", async () => {
    const { logprobs, text } = await run("logprobs");
    expect(logprobs).toHaveLength(4);
    expect(logprobs.map(({ token }) => token)).toEqual(logprobs.map(({ top }) => top[0]?.token));
    expect(logprobs.every(({ logprob, top }) => top.length === 2 && logprob < 0 && logprob > -5)).toBe(true);
    const { text: same } = await direct({ ...RECORDED.logprobs });
    expect(text).toBe(same);
  });

  it("holds an answer to a JSON schema", async () => {
    const schema = {
      type: "object",
      properties: { capital: { type: "string" } },
      required: ["capital"],
      additionalProperties: false,
    };
    const sampling = samplingSchema.parse({ temperature: 0, response_format: { type: "json_schema", schema } });
    const { text } = await runGeneration(engine, { ...RECORDED.end, id: "json", sampling, maxTokens: 40 });
    expect(JSON.parse(text)).toEqual({ capital: expect.stringContaining("Paris") });
  });

  it("samples the same answer from the same seed", async () => {
    const sampling = { temperature: 1, top_k: 40, top_p: 0.9, min_p: 0.02, repetition_penalty: 1.1, seed: 11 };
    const draw = async (id: string, seed: number) =>
      (await runGeneration(engine, { ...endlessly(id, { ...sampling, seed }), maxTokens: 8 })).text;
    expect(await draw("first", 11)).toBe(await draw("second", 11));
    expect(await draw("third", 12)).not.toBe(await draw("fourth", 11));
  });

  it("frees its slot when a generation is cancelled, and counts what came until then", async () => {
    const outcome = await runGeneration(engine, endlessly("cancelled"), (count) => {
      if (count >= 5) engine.cancel("cancelled");
    });
    expect(outcome).toMatchObject({ kind: "cancelled", completionTokens: outcome.counts.at(-1) });
    expect(outcome.completionTokens).toBeLessThan(100);
    await expect.poll(busySlots).toBe(0);
    expect(engine.running + engine.waiting).toBe(0);
  });

  it("passes on why a request is refused", async () => {
    expect(await run("unknown-token")).toMatchObject({
      kind: "failed",
      completionTokens: 0,
      error: { code: "invalid_request", message: expect.stringContaining("invalid tokens") },
    });
    expect(await run("too-long")).toMatchObject({
      kind: "failed",
      error: { code: "context_length_exceeded", message: expect.stringContaining("512") },
    });
  });

  it("refuses what llama.cpp's server would ignore", async () => {
    const submit = (sampling: object) => runGeneration(engine, endlessly("refused", sampling));
    await expect(submit({ stop_token_ids: [5] })).rejects.toMatchObject({ param: "stop_token_ids" });
    await expect(submit({ min_tokens: 5 })).rejects.toMatchObject({ param: "min_tokens" });
  });

  it("is not ready once the server is gone, and what was in flight fails", async () => {
    const other = await startLlamaServer("other");
    const lost: string[] = [];
    const losing = new RemoteEngine({ url: other.url, pollMs: 50, onLost: (reason) => lost.push(reason) }, LIMITS);
    await losing.ready;
    let stopped: Promise<void> | null = null;
    const outcome = await runGeneration(losing, endlessly("victim"), () => {
      stopped ??= other.stop();
    });
    await stopped;
    expect(outcome).toMatchObject({ kind: "failed", completionTokens: outcome.counts.at(-1) });
    await expect.poll(() => losing.isReady).toBe(false);
    expect(lost).toEqual([expect.stringContaining(other.url)]);
    await losing.close();
  });
});

describe("a worker whose engine is llama.cpp's server", () => {
  it("answers a chat as llama.cpp does by its own template and tokenizer", async () => {
    const worker = await startWorker(recorder?.url ?? llama.url);
    recorder?.take();
    const { text } = await askWorker(worker.url, { stream: false });
    await record("chat");
    await worker.close(5);
    const response = await fetch(`${llama.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({
        messages: [{ role: "user", content: RECORDED_QUESTION }],
        temperature: 0,
        max_tokens: 16,
      }),
    });
    const { choices, usage } = (await response.json()) as {
      choices: { message: { content: string } }[];
      usage: { prompt_tokens: number; completion_tokens: number };
    };
    expect(JSON.parse(text)).toMatchObject({
      choices: [{ message: { content: choices[0]?.message.content }, finish_reason: "length" }],
      usage: { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens },
    });
  });
});
