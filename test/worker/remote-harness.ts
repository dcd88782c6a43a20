import type { ServerResponse } from "node:http";
import { afterEach } from "vitest";
import { monotonicNow } from "../../gpu-worker/engine/clock.ts";
import { RemoteEngine, type RemoteEngineOptions } from "../../gpu-worker/engine/remote-engine.ts";
import { type CompletionsServer, replay, STREAM, startCompletionsServer } from "../fixtures/completions-server.ts";
import { RECORDED, type RecordedName, readTraffic } from "../fixtures/remote-traffic.ts";
import { runGeneration } from "../fixtures/run-generation.ts";

const LIMITS = { queuedRequests: 2, queuedTokens: 100 };

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  // Last in, first out: engines before the servers that they talk to.
  for (const one of open.splice(0).reverse()) await one.close();
});

/** An engine that is closed after the test. */
export function connect(url: string, options: Partial<RemoteEngineOptions> = {}): RemoteEngine {
  const engine = new RemoteEngine({ url, pollMs: 10, ...options }, LIMITS);
  open.push(engine);
  return engine;
}

/** A server that is closed after the test. */
export async function start(...args: Parameters<typeof startCompletionsServer>): Promise<CompletionsServer> {
  const server = await startCompletionsServer(...args);
  open.push(server);
  return server;
}

/** An engine whose server answers with the recordings. */
export async function connectToRecording(names: RecordedName[], cut?: (piece: Buffer) => Buffer[]) {
  const connection = await readTraffic("connect");
  const traffic = (await Promise.all(names.map(readTraffic))).flat();
  const models = connection.find(({ request }) => request.path === "/v1/models")?.response.pieces.join("");
  const server = await start(replay(traffic, cut), { models: JSON.parse(models ?? "") });
  const engine = connect(server.url);
  await engine.ready;
  return { engine, server };
}

/** An engine whose server answers with the given stream. */
export async function connectTo(answer: (response: ServerResponse) => void, models?: unknown) {
  const server = await start(
    (_, response) => {
      response.writeHead(200, STREAM);
      answer(response);
    },
    { models },
  );
  const engine = connect(server.url);
  await engine.ready;
  return { engine, server };
}

/** An event. */
export const frame = (data: unknown) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
/** A chunk without. */
export const text = (piece: string, more: object = {}) => frame({ choices: [{ index: 0, text: piece, ...more }] });
/** A chunk with the running usage that vLLM, SGLang and TensorRT-LLM have. */
export const counted = (piece: string, tokens: number, finish: string | null = null) =>
  frame({ choices: [{ index: 0, text: piece, finish_reason: finish }], usage: { completion_tokens: tokens } });
export const DONE = frame("[DONE]");

/** Runs the generation that most tests are about. @param deadlineIn milliseconds until its deadline */
export function ask(
  engine: RemoteEngine,
  id = "asked",
  onCount?: (count: number) => void,
  { deadlineIn }: { deadlineIn?: number } = {},
) {
  const deadline = deadlineIn === undefined ? {} : { deadline: monotonicNow() + deadlineIn };
  return runGeneration(engine, { ...RECORDED.length, id, ...deadline }, onCount);
}
