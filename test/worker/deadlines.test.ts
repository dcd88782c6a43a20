import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Engine, type EngineEvent } from "../../gpu-worker/engine/engine.ts";
import type { GenerationRequest } from "../../gpu-worker/engine/generation.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { TINY_CONFIG, tinyDecoder, writeTinyModel } from "../fixtures/tiny-llama.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";
import { TINY_SECRET as SECRET, startTinyWorker, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { ask, connectTo, counted } from "./remote-harness.ts";
import { signedClient } from "./signed-client.ts";

/** By the engine's own clock, which stands still unless a test moves it. */
describe("the engine", () => {
  let session: DecoderSession;
  beforeAll(async () => {
    session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
  });
  afterAll(() => session.release());

  const engineAt = (clock: { now: number }, rows = 1) =>
    new Engine(
      session,
      { tokens: tinyTokenizer().tokenByteTable(), eosIds: new Set<number>() },
      { rows, kvBytes: 2 ** 30, prefixBytes: 0, mixedTokens: 64, prefillTokens: 64 },
      () => clock.now,
    );
  const request = (id: string, more: Partial<GenerationRequest> = {}): GenerationRequest => ({
    id,
    prompt: [5, 6, 7],
    sampling: samplingSchema.parse({ temperature: 0 }),
    maxTokens: 20,
    ...more,
  });
  const kinds = (events: EngineEvent[], id: string) => events.filter((event) => event.id === id);

  it("refuses who still waits at its deadline, without having computed anything for it", async () => {
    const clock = { now: 0 };
    const engine = engineAt(clock);
    engine.submit(request("first"));
    engine.submit(request("late", { deadline: 100 }));
    clock.now = 99;
    expect(kinds((await engine.step()).events, "late")).toEqual([]);
    clock.now = 100;
    expect(kinds((await engine.step()).events, "late")).toEqual([{ kind: "expired", id: "late" }]);
    const events: EngineEvent[] = [];
    while (engine.busy) events.push(...(await engine.step()).events);
    expect(kinds(events, "late")).toEqual([]);
    expect(events.at(-1)).toMatchObject({ id: "first", finish: "length", completionTokens: 20 });
  });

  it("ends who is generating at its deadline with what it has, held-back text included", async () => {
    const clock = { now: 0 };
    const whole = engineAt(clock);
    whole.submit(request("whole"));
    const advances: EngineEvent[] = [];
    while (whole.busy) advances.push(...(await whole.step()).events);
    const texts = advances.flatMap((event) => (event.kind === "advanced" ? [event.text] : []));

    const engine = engineAt(clock);
    // A stop string that begins with the answer's third token holds it back.
    const stop = [`${texts[2]}\u0000never`];
    const sampling = { ...samplingSchema.parse({ temperature: 0 }), stop };
    engine.submit(request("cut", { deadline: 100, sampling }));
    const events: EngineEvent[] = [];
    for (let step = 0; step < 3; step++) events.push(...(await engine.step()).events);
    clock.now = 100;
    const last = await engine.step();
    events.push(...last.events);
    expect(last.events).toEqual([
      { kind: "advanced", id: "cut", timeUp: true, text: expect.any(String), completionTokens: 3, finish: "length" },
    ]);
    expect(events.map((event) => (event.kind === "advanced" ? event.text : "")).join("")).toBe(
      texts.slice(0, 3).join(""),
    );
    expect(last.running).toEqual([]);
    expect(engine.busy).toBe(false);
  });

  it("gives the next row to the lowest priority number", async () => {
    const engine = engineAt({ now: 0 });
    engine.submit(request("running", { maxTokens: 2 }));
    await engine.step();
    engine.submit(request("flex", { priority: 1, maxTokens: 2 }));
    engine.submit(request("default", { maxTokens: 2 }));
    engine.submit(request("urgent", { priority: -1, maxTokens: 2 }));
    const started: string[] = [];
    while (engine.busy) {
      for (const event of (await engine.step()).events) if (event.kind === "started") started.push(event.id);
    }
    expect(started).toEqual(["urgent", "default", "flex"]);
  });
});

describe("a worker", () => {
  let model: Awaited<ReturnType<typeof writeTinyModel>>;
  let worker: RunningWorker;
  let count = 0;

  beforeAll(async () => {
    model = await writeTinyModel();
    vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
    const profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
    worker = await startTinyWorker(model.path, { profile, rows: 1, prefixMemory: 0 });
  });
  afterAll(async () => {
    await worker.close(5);
    await model.remove();
  });

  const generate = (fields: object, sampling: object = {}, init?: { signal: AbortSignal }) =>
    signedClient(worker.url, SECRET).send(
      "POST",
      GENERATIONS_PATH,
      {
        generation: `gen_late${String(++count).padStart(8, "0")}`,
        dialect: "openai",
        model: "tiny",
        messages: [{ role: "user", content: "hello" }],
        steering: { effective: {}, method: "none", preset: null, clamped: [], not_trained: [], note: null },
        sampling: { temperature: 0, ignore_eos: true, ...sampling },
        stream: false,
        include_usage: false,
        ...fields,
      },
      init,
    );

  it("ends a long answer in time, with exact usage and length as the reason", async () => {
    const began = performance.now();
    const response = await generate({ deadline_ms: 60 }, { max_tokens: 400 });
    expect(response.status).toBe(200);
    const body = await response.json();
    expect(body).toMatchObject({
      choices: [{ finish_reason: "length" }],
      usage: { completion_tokens: Number(response.headers.get("attune-completion-tokens")) },
    });
    expect(Number(response.headers.get("attune-completion-tokens"))).toBeLessThan(400);
    expect(performance.now() - began).toBeLessThan(5000);
  });

  it("answers 504 to who waited until its deadline, and an error frame where it streams", async () => {
    const hangUp = new AbortController();
    await generate({ stream: true }, { max_tokens: 400, seed: 1 }, { signal: hangUp.signal });
    const others = [generate({ stream: true }, { max_tokens: 400 }), generate({ stream: true }, { max_tokens: 400 })];
    const [whole, streamed] = await Promise.all([
      generate({ deadline_ms: 20 }),
      generate({ deadline_ms: 20, stream: true }),
    ]);
    expect(whole.status).toBe(504);
    expect(await whole.json()).toMatchObject({ error: { code: "deadline_exceeded", param: "deadline_ms" } });
    // Its head went out when it was admitted to the queue.
    expect(streamed.status).toBe(200);
    expect(await streamed.text()).toMatch(/^id: gen_late\d+:0:0\ndata: \{"error":.*"code":"deadline_exceeded"/);
    hangUp.abort();
    for (const other of others) await (await other).body?.cancel();
  });

  it("refuses a deadline that is none, and a priority out of range", async () => {
    for (const fields of [{ deadline_ms: 0 }, { deadline_ms: -1 }, { deadline_ms: 3_600_001 }, { priority: 101 }]) {
      const response = await generate(fields);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param: Object.keys(fields)[0] } });
    }
  });

  it("says in which tier it served a request that named one", async () => {
    expect(await (await generate({ service_tier: "flex", priority: 1 }, { max_tokens: 2 })).json()).toMatchObject({
      service_tier: "flex",
    });
    const streamed = await (await generate({ service_tier: "default", stream: true }, { max_tokens: 2 })).text();
    expect(streamed).toContain('"service_tier":"default"');
    expect(await (await generate({}, { max_tokens: 2 })).text()).not.toContain("service_tier");
  });
});

describe("a remote engine", () => {
  it("closes the connection at the deadline, and keeps what had come", async () => {
    const closed = Promise.withResolvers<void>();
    const { engine } = await connectTo((response) => {
      response.on("close", closed.resolve);
      response.write(counted("Hello", 2));
    });
    const ending = await ask(engine, "cut", undefined, { deadlineIn: 50 });
    expect(ending).toMatchObject({
      kind: "finished",
      reason: "length",
      completionTokens: 2,
      text: "Hello",
      timeUp: true,
    });
    await closed.promise;
    expect(engine.running + engine.waiting).toBe(0);
  });

  it("refuses what the server has not begun by then", async () => {
    const { engine } = await connectTo(() => {});
    expect(await ask(engine, "late", undefined, { deadlineIn: 20 })).toMatchObject({
      kind: "failed",
      completionTokens: 0,
      error: { code: "deadline_exceeded" },
    });
    await expect(ask(engine, "past", undefined, { deadlineIn: 0 })).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
  });
});
