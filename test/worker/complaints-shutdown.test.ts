/** What users of other servers complain about, as promises: stopping a worker. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { get, IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { STREAM } from "../fixtures/completions-server.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { questionBody } from "../fixtures/tiny-server.ts";
import { counted, DONE, start } from "./remote-harness.ts";
import { signedClient } from "./signed-client.ts";

const CLI = fileURLToPath(new URL("../../gpu-worker/cli.ts", import.meta.url));
const SECRET = "a-secret-for-tests-only";
const PATIENCE = { timeout: 10_000 };

const listeningSchema = z.object({ type: z.literal("listening"), url: z.url() });

let model: Awaited<ReturnType<typeof writeTinyModel>>;
beforeAll(async () => {
  model = await writeTinyModel();
});
afterAll(() => model.remove());

/** A worker as operators run it, whose answers come from a server that says what the test wants when it wants. */
async function startWorker(drainSeconds: number) {
  const answering = Promise.withResolvers<ServerResponse>();
  const remote = await start((_, response) => {
    response.writeHead(200, STREAM);
    response.write(counted("Hello", 2));
    answering.resolve(response);
  });
  const place = ["--model", model.path, "--id", "tiny", "--port", "0", "--remote", remote.url];
  const env = { ...process.env, ATTUNE_WORKER_SECRET: SECRET, ATTUNE_CACHE_DIR: model.directory };
  const child = fork(CLI, ["serve", ...place, "--drain", `${drainSeconds}`], {
    env,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const [message] = await once(child, "message");
  const { url } = listeningSchema.parse(message);
  /** Over a connection of its own, as probes and load balancers ask. */
  const readiness = async () => {
    const request = get(`${url}/readyz`, { agent: false });
    const [response] = z.tuple([z.instanceof(IncomingMessage)]).parse(await once(request, "response"));
    const { status } = z.object({ status: z.string() }).parse(await json(response));
    return [response.statusCode, status];
  };
  await expect.poll(readiness, PATIENCE).toEqual([200, "ready"]);
  const ask = () =>
    signedClient(url, SECRET).send(
      "POST",
      GENERATIONS_PATH,
      questionBody({ steering: { effective: {}, method: "none" } }),
    );
  return { child, exited, readiness, ask, answering: answering.promise };
}

/** Reads a stream to its end, from what it begins with. */
function readStream(response: Response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const readUntil = async (isEnough: () => boolean) => {
    while (!isEnough()) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) return text;
      text += value;
    }
    return text;
  };
  return {
    begun: () => readUntil(() => text.includes("Hello")),
    ended: () => readUntil(() => false),
  };
}

// vLLM #24885, #36666.
describe("a worker that is told to stop", () => {
  it("finishes the streams that run, and then exits", async () => {
    const { child, exited, readiness, ask, answering } = await startWorker(600);
    const stream = readStream(await ask());
    await stream.begun();
    child.kill("SIGTERM");
    await expect.poll(() => readiness().catch(() => "no longer there"), PATIENCE).not.toEqual([200, "ready"]);
    const remote = await answering;
    remote.end(counted(" world", 4, "stop") + DONE);
    const text = await stream.ended();
    expect(text).toContain(" world");
    expect(text).toMatch(/"finish_reason":"stop".*data: \[DONE\]\n\n$/s);
    expect(await exited).toEqual([0, null]);
  });

  it("says first that it is not ready, and refuses new requests with 503 while running streams finish", async () => {
    const { child, readiness, ask } = await startWorker(600);
    const stream = readStream(await ask());
    await stream.begun();
    child.kill("SIGTERM");
    await expect.poll(readiness, { timeout: 3000 }).toEqual([503, "draining"]);
    const refused = await ask();
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("2");
    expect(await refused.json()).toMatchObject({ error: { code: "worker_unavailable" } });
  });

  it("cuts off what runs at the deadline with an error that says why", async () => {
    const { child, exited, ask } = await startWorker(0);
    const stream = readStream(await ask());
    await stream.begun();
    child.kill("SIGTERM");
    const text = await stream.ended();
    expect(text).toMatch(/data: \{"error":\{"message":"[^"]*shutting down[^"]*"[^}]*"code":"worker_unavailable"/);
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(await exited).toEqual([0, null]);
  });

  it("exits at once when it is told so again", async () => {
    const { child, exited, ask } = await startWorker(600);
    const stream = readStream(await ask());
    await stream.begun();
    child.kill("SIGTERM");
    child.kill("SIGINT");
    expect(await exited).toEqual([1, null]);
  });
});
