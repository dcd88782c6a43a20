/** What users of other servers complain about, as promises: running streams. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../../gpu-worker/engine/engine.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import { startPacedWorker } from "../fixtures/paced-worker.ts";
import { TINY_CONFIG, tinyDecoder } from "../fixtures/tiny-llama.ts";
import { startTinyServer } from "../fixtures/tiny-server.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const COMPUTED = "vllm:iteration_tokens_total_sum";
const BEGUN = "vllm:prompt_tokens_total";
const RUNNING = "vllm:num_requests_running";
const WAITING = "vllm:num_requests_waiting";
const ABORTED = 'vllm:request_success_total{model_name="tiny",engine="0",finished_reason="abort"}';

// llama.cpp #11720, #13262, #24496; ik_llama.cpp #1020, #1134; vLLM #10806, #9428, #54947.
describe("a client that hangs up", () => {
  it("while it waits behind others is never computed", async () => {
    const worker = await startPacedWorker({ rows: 1 });
    const asked = worker.ask();
    expect((await asked.response).status).toBe(200);
    await worker.step();
    await worker.step();
    expect(await worker.metric(WAITING)).toBe(1);
    const computed = await worker.metric(COMPUTED);
    await asked.leave();
    const { events } = await worker.stepUntil((report) => report.events.some(({ id }) => id === asked.generation));
    expect(events).toContainEqual({ kind: "cancelled", id: asked.generation, completionTokens: 0 });
    worker.release();
    await expect.poll(() => worker.metric(RUNNING), { timeout: 10_000 }).toBe(0);
    expect(await worker.metric(WAITING)).toBe(0);
    expect(await worker.metric(BEGUN)).toBe(0);
    // Steps of the one stream before it, a token each.
    expect((await worker.metric(COMPUTED)) - computed).toBeLessThan(5);
    expect(await worker.metric(ABORTED)).toBe(1);
    expect(worker.endsLogged(asked.generation)).toEqual(["cancelled"]);
  });

  it("while its prompt is read has the rest of it left unread", async () => {
    const worker = await startPacedWorker({ rows: 2 });
    const asked = worker.ask({ content: "x".repeat(350) });
    const pieces: number[] = [];
    await worker.stepUntil(({ prefillTokens }) => {
      pieces.push(prefillTokens);
      return prefillTokens > 0;
    });
    await asked.leave();
    await worker.stepUntil(({ events, prefillTokens }) => {
      pieces.push(prefillTokens);
      return events.some(({ kind, id }) => kind === "cancelled" && id === asked.generation);
    });
    const prompt = await worker.metric(BEGUN);
    expect(prompt).toBeGreaterThan(350);
    // The first piece, the one that the engine was at when the client left, and at most one that was begun before it heard of that.
    expect(pieces.reduce((total, tokens) => total + tokens, 0)).toBeLessThanOrEqual(3 * 64);
    expect(await worker.step()).toMatchObject({ decodeRows: 1, prefillTokens: 0, kvSlots: 1 });
    expect(await worker.metric(ABORTED)).toBe(1);
    expect(worker.endsLogged(asked.generation)).toEqual(["cancelled"]);
  });

  it.each([
    ["while it streams", 1, {}],
    ["while it waits for a whole answer", 1, { stream: false }],
    ["with several answers", 3, { n: 3 }],
    ["with several whole answers", 3, { n: 3, stream: false }],
    ["under guidance, which takes two rows", 1, { steering: { guidance: { strength: 2, against: {} } } }],
  ])("%s frees every row, and is logged and counted", async (_, answers, fields) => {
    const worker = await startPacedWorker({ rows: 8 });
    const asked = worker.ask(fields);
    const decoding = ({ id }: { id: string }) => id.startsWith(asked.generation);
    await worker.stepUntil(
      ({ running, events }) =>
        running.filter((progress) => decoding(progress) && progress.phase === "decode").length === answers &&
        events.filter((event) => event.kind === "advanced" && decoding(event)).length === answers,
    );
    expect(await worker.metric(RUNNING)).toBe(1 + answers);
    await asked.leave();
    await worker.stepUntil(({ running }) => running.length === 1);
    expect(await worker.step()).toMatchObject({ decodeRows: 1, prefillTokens: 0, kvSlots: 1 });
    expect(await worker.metric(RUNNING)).toBe(1);
    expect(await worker.metric(ABORTED)).toBe(answers);
    expect(worker.endsLogged(asked.generation)).toEqual(["cancelled"]);
  });

  describe("while the model is being loaded", () => {
    const loading = (_: unknown, signal: AbortSignal) =>
      new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

    it("is logged and counted like any other", async () => {
      const worker = await startTinyServer({ start: loading });
      const asked = worker.ask();
      await expect.poll(() => worker.engine.state).toBe("loading");
      asked.hangUp();
      await expect.poll(() => worker.endsLogged(asked.generation)).toEqual(["cancelled"]);
      expect(await worker.metric(ABORTED)).toBe(1);
    });

    it("makes room for another to wait", async () => {
      const worker = await startTinyServer({ start: loading, waiting: 1 });
      const asked = worker.ask();
      await expect.poll(() => worker.engine.state).toBe("loading");
      asked.hangUp();
      await expect.poll(() => worker.cancel(asked.generation)).toBe(200);
      const next = worker.ask();
      // It can be cancelled as long as it waits; one that was refused is unknown.
      await expect.poll(() => worker.cancel(next.generation)).toBe(200);
    });
  });
});

// llama.cpp #4216.
describe("a long prompt", () => {
  let session: DecoderSession;
  beforeAll(async () => {
    session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
  });
  afterAll(() => session.release());

  it("does not hold up running streams: each gets a token in every step while it is read, in pieces of bounded size", async () => {
    const mixedTokens = 16;
    const engine = new Engine(
      session,
      { tokens: tinyTokenizer().tokenByteTable(), eosIds: new Set() },
      { rows: 8, kvBytes: 2 ** 28, prefixBytes: 0, mixedTokens, prefillTokens: 256 },
    );
    const sampling = samplingSchema.parse({ temperature: 0 });
    const streams = ["a", "b", "c"];
    for (const id of streams) engine.submit({ id, prompt: [5, 6, 7], sampling, maxTokens: 100 });
    await engine.step();
    const prompt = Array.from({ length: 400 }, (_, index) => 3 + ((index * 37) % 256));
    engine.submit({ id: "long", prompt, sampling, maxTokens: 5 });
    let read = 0;
    for (let steps = 0; read < prompt.length; steps++) {
      expect(steps).toBeLessThan(Math.ceil(prompt.length / (mixedTokens - streams.length - 1)));
      const report = await engine.step();
      read += report.prefillTokens;
      expect(report.decodeRows).toBe(streams.length);
      expect(report.decodeRows + report.prefillTokens).toBeLessThanOrEqual(mixedTokens);
      const advanced = report.events.filter(({ kind }) => kind === "advanced").map(({ id }) => id);
      expect(advanced).toEqual(expect.arrayContaining(streams));
    }
    expect(read).toBe(prompt.length);
  });
});
