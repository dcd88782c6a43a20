import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { RECORDED, RECORDED_MODEL, type RecordedName, readTraffic } from "../fixtures/remote-traffic.ts";
import { type Outcome, runGeneration } from "../fixtures/run-generation.ts";
import { ask, connect, connectTo, connectToRecording, counted, DONE, frame, start, text } from "./remote-harness.ts";

/** The text of a recorded answer, read in the plainest way. */
async function recordedText(name: RecordedName): Promise<string> {
  const [exchange] = await readTraffic(name);
  const events = (exchange?.response.pieces.join("") ?? "")
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"));
  return events.map((event) => JSON.parse(event.slice("data: ".length)).choices[0].text).join("");
}

describe("an engine that is a llama.cpp server", () => {
  it("streams the answer, token by token, with the server's count", async () => {
    const { engine, server } = await connectToRecording(["length"]);
    const outcome = await ask(engine);
    expect(outcome).toMatchObject({ kind: "finished", reason: "length", completionTokens: 16 });
    expect(outcome.text).toBe(await recordedText("length"));
    expect(outcome.counts).toEqual(Array.from({ length: 16 }, (_, index) => index + 1));
    expect(server.asked).toEqual([expect.objectContaining({ model: RECORDED_MODEL, prompt: RECORDED.length.prompt })]);
    expect(server.headers["x-request-id"]).toBe("asked");
  });

  it("ends as the server says: at the model's end, or before a stop string", async () => {
    const { engine } = await connectToRecording(["end", "stop"]);
    const end = await runGeneration(engine, RECORDED.end);
    expect(end).toMatchObject({ reason: "stop", completionTokens: 8, text: "The capital of France is Paris." });
    const stop = await runGeneration(engine, RECORDED.stop);
    expect(stop).toMatchObject({ reason: "stop" });
    expect(RECORDED.stop.sampling.stop.some((word) => stop.text.includes(word))).toBe(false);
  });

  it("reads a stream that is cut between any two bytes", async () => {
    const bytes = (piece: Buffer) => Array.from(piece, (byte) => Buffer.from([byte]));
    const { engine } = await connectToRecording(["emoji"], bytes);
    const outcome = await runGeneration(engine, RECORDED.emoji);
    expect(outcome.text).toBe(await recordedText("emoji"));
    expect(outcome.text).toMatch(/\p{Extended_Pictographic}/u);
    expect(outcome.completionTokens).toBe(16);
  });

  it("reports log-probabilities by token id", async () => {
    const { engine } = await connectToRecording(["logprobs"]);
    const { logprobs } = await runGeneration(engine, RECORDED.logprobs);
    expect(logprobs).toHaveLength(4);
    for (const { token, logprob, top } of logprobs) {
      expect(top).toHaveLength(2);
      expect(top[0]).toEqual({ token, logprob });
    }
  });

  it("passes on why a request is refused", async () => {
    const { engine } = await connectToRecording(["unknown-token", "too-long"]);
    expect(await runGeneration(engine, RECORDED["unknown-token"])).toMatchObject({
      kind: "failed",
      error: { code: "invalid_request", message: expect.stringContaining("invalid tokens") },
    });
    expect(await runGeneration(engine, RECORDED["too-long"])).toMatchObject({
      kind: "failed",
      error: { code: "context_length_exceeded", param: "messages" },
    });
  });
});

describe("an engine that is another server", () => {
  const complete = { kind: "finished", reason: "stop", text: "Hello" };

  it("reads vLLM's running usage, and the last of it in a chunk of its own", async () => {
    const { engine } = await connectTo((response) => {
      const usage = { prompt_tokens: 14, completion_tokens: 5, total_tokens: 19 };
      response.end(counted("Hel", 2) + text("lo", { finish_reason: "stop" }) + frame({ choices: [], usage }) + DONE);
    });
    expect(await ask(engine)).toMatchObject({ ...complete, counts: [2, 3, 5], completionTokens: 5 });
  });

  it("reads vLLM's log-probabilities", async () => {
    const { engine, server } = await connectTo((response) => {
      const logprobs = {
        tokens: ["token_id:5", "token_id:7"],
        token_logprobs: [-0.5, null],
        top_logprobs: [{ "token_id:5": -0.5, "token_id:9": -1, "token_id:8": -0.7 }, null],
      };
      response.end(text("Hello", { logprobs, finish_reason: "stop" }) + DONE);
    });
    const { logprobs } = await runGeneration(engine, RECORDED.logprobs);
    expect(server.asked).toEqual([expect.objectContaining({ logprobs: 2, return_tokens_as_token_ids: true })]);
    expect(logprobs).toEqual([
      {
        token: 5,
        logprob: -0.5,
        top: [
          { token: 5, logprob: -0.5 },
          { token: 8, logprob: -0.7 },
        ],
      },
      { token: 7, logprob: Number.NEGATIVE_INFINITY, top: [] },
    ]);
  });

  it("counts pieces where the server has no running count", async () => {
    const { engine } = await connectTo((response) => {
      response.end(text("Hel") + text("") + text("lo", { finish_reason: "stop" }) + DONE);
    });
    expect(await ask(engine)).toMatchObject({ ...complete, counts: [1, 2], completionTokens: 2 });
  });

  it("finishes an answer whose [DONE] is missing, or whose connection breaks after its last chunk", async () => {
    const whole = text("Hello", { finish_reason: "stop" });
    const missing = await connectTo((response) => response.end(whole));
    expect(await ask(missing.engine)).toMatchObject(complete);
    const broken = await connectTo((response) => response.write(whole, () => response.destroy()));
    expect(await ask(broken.engine)).toMatchObject(complete);
  });

  it("does not wait for a server that leaves the connection open after the usage", async () => {
    const { engine } = await connectTo((response) => void response.write(counted("Hello", 2, "stop")));
    expect(await ask(engine)).toMatchObject({ ...complete, completionTokens: 2 });
  });

  it("ignores comments and fields that it does not know", async () => {
    const { engine } = await connectTo((response) => {
      response.end(`: ping\n\nevent: x\nid: 1\nretry: 5\n${counted("Hello", 2, "stop")}`);
    });
    expect(await ask(engine)).toMatchObject(complete);
  });
});

describe("an answer that goes wrong", () => {
  const failed = async (answer: (response: ServerResponse) => void): Promise<Outcome> =>
    ask((await connectTo(answer)).engine);

  it("fails with the server's words when an error comes in its middle, and keeps its count", async () => {
    const message = "EngineCore encountered an issue";
    const nested = await failed((response) =>
      response.end(counted("Hel", 3) + frame({ error: { message, code: 500 } }) + DONE),
    );
    expect(nested).toEqual({
      kind: "failed",
      reason: message,
      completionTokens: 3,
      text: "Hel",
      counts: [3],
      logprobs: [],
    });
    const flat = await failed((response) =>
      response.end(counted("Hel", 3) + frame({ object: "error", message, code: 500 })),
    );
    expect(flat).toMatchObject({ kind: "failed", reason: message, completionTokens: 3 });
  });

  it("fails when the stream is cut, is garbage, or ends for a reason that is none", async () => {
    const cut = await failed((response) => response.end(counted("Hel", 3)));
    expect(cut).toMatchObject({
      kind: "failed",
      completionTokens: 3,
      reason: expect.stringContaining("before the answer"),
    });
    const inFrame = await failed((response) => response.end(`${counted("Hel", 3)}data: {"choices":[{"te`));
    expect(inFrame).toMatchObject({ kind: "failed", completionTokens: 3 });
    const broken = await failed((response) => response.write(counted("Hel", 3), () => response.destroy()));
    expect(broken).toMatchObject({ kind: "failed", completionTokens: 3, text: "Hel" });
    expect(await failed((response) => response.end(frame("{")))).toMatchObject({
      reason: expect.stringContaining("JSON"),
    });
    expect(await failed((response) => response.end(frame({ choices: 1 })))).toMatchObject({ kind: "failed" });
    expect(await failed((response) => response.end(counted("Hel", 3, "abort")))).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("abort"),
    });
  });

  it("is a refusal when the server is busy before it began", async () => {
    let status = 429;
    const server = await start((_, response) => response.writeHead(status).end("<html>busy</html>"));
    const engine = connect(server.url);
    await engine.ready;
    expect(await ask(engine)).toMatchObject({ kind: "failed", error: { code: "queue_full" } });
    status = 503;
    expect(await ask(engine)).toMatchObject({ kind: "failed", error: { code: "worker_unavailable" } });
    status = 502;
    const broken = await ask(engine);
    expect(broken).toMatchObject({ kind: "failed", reason: "HTTP 502" });
    expect(broken).not.toHaveProperty("error");
  });
});

describe("a cancel", () => {
  it("closes the connection, wherever the answer is, and counts what came until then", async () => {
    const closed = Promise.withResolvers<void>();
    const begun = await connectTo((response) => {
      response.on("close", () => closed.resolve());
      response.write(counted("Hel", 3));
    });
    const outcome = await ask(begun.engine, "begun", () => begun.engine.cancel("begun"));
    expect(outcome).toMatchObject({ kind: "cancelled", completionTokens: 3 });
    await closed.promise;

    const arrived = Promise.withResolvers<ServerResponse>();
    const server = await start((_, response) => arrived.resolve(response));
    const waiting = connect(server.url);
    await waiting.ready;
    const cancelled = ask(waiting, "waiting");
    const response = await arrived.promise;
    const gone = new Promise((resolve) => response.on("close", resolve));
    expect([waiting.running, waiting.waiting]).toEqual([0, 1]);
    waiting.cancel("waiting");
    expect(await cancelled).toMatchObject({ kind: "cancelled", completionTokens: 0 });
    await gone;
    expect([waiting.running, waiting.waiting, waiting.silence]).toEqual([0, 0, 0]);
  });
});
