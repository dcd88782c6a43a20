import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { type CompletionsServer, replay, startCompletionsServer } from "../fixtures/completions-server.ts";
import { readTraffic } from "../fixtures/remote-traffic.ts";
import { askWorker, startWorker } from "../fixtures/remote-worker.ts";

let server: CompletionsServer;
let worker: RunningWorker;

beforeAll(async () => {
  const connection = await readTraffic("connect");
  const models = connection.find(({ request }) => request.path === "/v1/models")?.response.pieces.join("");
  server = await startCompletionsServer(replay(await readTraffic("chat")), { models: JSON.parse(models ?? "") });
  worker = await startWorker(server.url);
});
afterAll(async () => {
  await worker.close(5);
  await server.close();
});

describe("a worker whose model is on a llama.cpp server", () => {
  it("sends that server the conversation in the model's own tokens, and answers with what it says", async () => {
    const { status, text } = await askWorker(worker.url, { stream: false });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({
      object: "chat.completion",
      choices: [
        { message: { role: "assistant", content: expect.stringContaining("rainbow") }, finish_reason: "length" },
      ],
      usage: { completion_tokens: 16 },
    });
  });

  it("streams, and says the server's usage", async () => {
    const { text } = await askWorker(worker.url, { stream: true });
    const frames = text.split("\n\n").filter((event) => event.includes("data: {"));
    expect(frames.length).toBeGreaterThan(16);
    expect(frames.at(-1)).toMatch(/"completion_tokens":16/);
    expect(text).toContain("data: [DONE]");
  });

  it("refuses what the server would ignore, before any work", async () => {
    const asked = server.asked.length;
    const { status, text } = await askWorker(worker.url, { stream: true, sampling: { min_tokens: 3 } });
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ error: { code: "unsupported_parameter", param: "min_tokens" } });
    expect(server.asked).toHaveLength(asked);
  });

  it("counts the server's tokens in its metrics", async () => {
    const text = await (await fetch(`${worker.url}/metrics`)).text();
    expect(text).toContain('vllm:generation_tokens_total{model_name="remote",engine="0"} 32');
    expect(text).toContain('vllm:request_success_total{model_name="remote",engine="0",finished_reason="length"} 2');
  });

  it("passes on why the server refuses a request, as the answer's status or within its stream", async () => {
    const { status, text } = await askWorker(worker.url, { stream: false, content: "Not in the recording" });
    expect(status).toBe(400);
    const message = expect.stringContaining("Not recorded");
    expect(JSON.parse(text)).toMatchObject({ error: { code: "invalid_request", message } });
    const streamed = await askWorker(worker.url, { stream: true, content: "Not in the recording" });
    expect(streamed.status).toBe(200);
    expect(streamed.text).toContain('"code":"invalid_request"');
  });
});
