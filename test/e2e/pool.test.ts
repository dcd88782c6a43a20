import { connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { READINESS_PATH, readinessSchema } from "../../schema/wire/readiness.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { startTinyWorker, TINY_SECRET, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { runningEdge } from "./running-edge.ts";
import { ENDLESS } from "./tiny-stack.ts";

/** A way to a worker that can be cut, as when its machine goes: all connections break, and no new one comes about. */
async function cuttable(origin: string) {
  const { hostname, port } = new URL(origin);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut() {
      server.close();
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}

/** Two workers that serve the tiny model, and ways to them that can be cut. */
function twoWorkers() {
  let model: Awaited<ReturnType<typeof writeTinyModel>> | undefined;
  const workers: RunningWorker[] = [];
  const ways: Awaited<ReturnType<typeof cuttable>>[] = [];
  beforeAll(async () => {
    model = await writeTinyModel();
    const profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
    while (workers.length < 2) {
      const worker = await startTinyWorker(model.path, { profile, rows: 8, queue: 8 });
      workers.push(worker);
      ways.push(await cuttable(worker.url));
    }
  });
  afterAll(async () => {
    for (const { cut } of ways) cut();
    await Promise.all(workers.map((worker) => worker.close(0)));
    await model?.remove();
  });
  return { workers, ways };
}

describe("an edge before two workers", () => {
  const { workers, ways } = twoWorkers();
  let key = "";
  const edge = runningEdge(() => ({ url: "", secret: TINY_SECRET, pool: ways.map(({ url }) => url) }));
  beforeAll(async () => {
    const administer = async <T extends z.ZodType>(path: string, body: object, schema: T): Promise<z.infer<T>> => {
      const headers = { authorization: `Bearer ${edge.current().adminToken}`, "content-type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify(body) };
      return schema.parse(await (await fetch(`${edge.current().url}/admin/v1${path}`, init)).json());
    };
    const { id } = await administer("/projects", { name: "Pool" }, z.object({ id: z.string() }));
    const limits = { name: "test", tokens_per_minute: 100_000, requests_per_minute: 10_000 };
    key = (await administer(`/projects/${id}/keys`, limits, z.object({ secret: z.string() }))).secret;
  });

  const send = (path: string, init: RequestInit = {}) =>
    fetch(`${edge.current().url}${path}`, { ...init, headers: { authorization: `Bearer ${key}` } });

  /** Begins a streamed answer; of a conversation of its own, so that either worker may have it. */
  async function begin(content: string, max_tokens: number) {
    const body = { model: "tiny", messages: [{ role: "user", content }], stream: true, max_tokens, ...ENDLESS };
    const response = await send("/v1/chat/completions", { method: "POST", body: JSON.stringify(body) });
    expect(response.status).toBe(200);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    /** Reads on until the text says so, or the stream ends. */
    const readUntil = async (enough: (text: string) => boolean): Promise<string> => {
      while (!enough(text)) {
        const read = await reader?.read();
        if (read?.done !== false) break;
        text += read.value;
      }
      return text;
    };
    await readUntil((soFar) => soFar.includes("data: {"));
    return { end: () => readUntil(() => false), readUntil };
  }

  const promptTokens = async (content: string) => {
    const body = JSON.stringify({ model: "tiny", messages: [{ role: "user", content }], max_tokens: 1 });
    const answer = await (await send("/v1/chat/completions", { method: "POST", body })).json();
    return z.object({ usage: z.object({ prompt_tokens: z.number() }) }).parse(answer).usage.prompt_tokens;
  };
  const load = async ({ url }: RunningWorker) =>
    readinessSchema.parse(await (await fetch(url + READINESS_PATH)).json()).load.generations;
  const remaining = async () => Number((await send("/v1/presets")).headers.get("x-ratelimit-remaining-tokens"));
  /** Of the last frame that came. */
  const completionTokens = (text: string) => Number([...text.matchAll(/^id: \w+:\d+:(\d+)$/gm)].at(-1)?.[1]);

  it("loses no answer when a worker is drained, and sends it no more", async () => {
    const streams = await Promise.all(Array.from({ length: 6 }, (_, index) => begin(`Question ${index}`, 400)));
    const loads = await Promise.all(workers.map(load));
    expect(Math.min(...loads)).toBeGreaterThan(0);
    const [drained] = workers;
    const drain = drained?.close(60);
    const later = await Promise.all(Array.from({ length: 6 }, (_, index) => begin(`Later question ${index}`, 5)));
    for (const stream of [...streams, ...later]) {
      const text = await stream.end();
      expect(text).toMatch(/data: \[DONE\]\n\n$/);
      expect(text).not.toContain('"error"');
    }
    await drain;
  });

  it("keeps answers of the worker that is left", async () => {
    for (let index = 0; index < 4; index++) {
      const messages = [{ role: "user", content: `Question to keep ${index}` }];
      const body = JSON.stringify({ model: "tiny", messages, max_tokens: 3, store: true });
      const response = await send("/v1/chat/completions", { method: "POST", body });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ object: "chat.completion" });
    }
  });

  it("ends the answers of a worker that dies with an error, and charges what had come of them", async () => {
    const question = "A question that is answered in part";
    const prompt = await promptTokens(question);
    const before = await remaining();
    const stream = await begin(question, 400);
    await stream.readUntil((text) => completionTokens(text) >= 3);
    ways[1]?.cut();
    const text = await stream.end();
    expect(text).toMatch(/data: \{"error":\{[^\n]*"code":"generation_failed"[^\n]*\n\n$/);
    const tokens = completionTokens(text);
    expect(tokens).toBeLessThan(400);
    await expect.poll(async () => before - (await remaining())).toBe(prompt + tokens);
  });

  it("says so when no worker is left", async () => {
    const body = JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Anybody there?" }] });
    const response = await send("/v1/chat/completions", { method: "POST", body });
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(await response.json()).toMatchObject({ error: { code: "worker_unavailable" } });
  });
});
