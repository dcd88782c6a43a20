import { pino } from "pino";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { RunningWorker } from "../../gpu-worker/server/serve.ts";
import { GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { questionBody } from "../fixtures/tiny-server.ts";
import { startTinyWorker, TINY_SECRET, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

const logged: string[] = [];
let model: Awaited<ReturnType<typeof writeTinyModel>>;
let worker: RunningWorker;

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  const profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
  const logger = pino({ base: null }, { write: (line) => void logged.push(line) });
  worker = await startTinyWorker(model.path, { profile }, logger);
});
afterAll(async () => {
  await worker.close(5);
  await model.remove();
});

/** Has a question answered that came with these headers. @returns what the log says of its end */
async function endLogged(headers: Record<string, string>): Promise<unknown> {
  const body = questionBody();
  const text = JSON.stringify(body);
  const signature = await signedClient(worker.url, TINY_SECRET).headersFor("POST", GENERATIONS_PATH, text);
  const init = { method: "POST", body: text, headers: { ...headers, ...signature } };
  await (await fetch(worker.url + GENERATIONS_PATH, init)).text();
  return logged.map((line) => JSON.parse(line)).find(({ generation }) => generation === body.generation);
}

it("the worker's log names the request of the edge and its trace, so that the lines of both are found together", async () => {
  const headers = { traceparent: `00-${TRACE}-${SPAN}-01`, "x-request-id": "req_of_the_edge" };
  expect(await endLogged(headers)).toMatchObject({
    msg: "generation ended",
    state: "completed",
    request_id: "req_of_the_edge",
    trace_id: TRACE,
    span_id: SPAN,
  });
});

it("the worker's log takes nothing from headers that is no id", async () => {
  const line = await endLogged({ traceparent: `00-${TRACE}-${SPAN}-01 level:60`, "x-request-id": "a request, spoken" });
  expect(line).toMatchObject({ msg: "generation ended" });
  expect(line).not.toHaveProperty("request_id");
  expect(line).not.toHaveProperty("trace_id");
});
