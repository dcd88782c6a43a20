/** The upstream of all gateways: answers our worker protocol and OpenAI's as scripts say, and counts what it really wrote. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";
import { usageOf } from "../../../../schema/api/chat.ts";
import type { ServedModel } from "../../../../schema/api/models.ts";
import { AttuneError, toAttuneError } from "../../../../schema/wire/errors.ts";
import { GENERATIONS_PATH, generateRequestSchema, WORKER_MODELS_PATH } from "../../../../schema/wire/generate.ts";
import { READINESS_PATH, type Readiness } from "../../../../schema/wire/readiness.ts";
import {
  ID_HEADER,
  importSigningKey,
  SIGNATURE_HEADER,
  TIMESTAMP_HEADER,
  verifyRequest,
} from "../../../../schema/wire/signature.ts";
import { endWithParent } from "../../../../scripts/leash.ts";
import { answerRun } from "../mock-answer.ts";
import { MockRuns } from "../mock-runs.ts";
import { RUNS_PATH } from "../script.ts";

const [modelId = "", secret = ""] = process.argv.slice(2);
const key = await importSigningKey(secret);
const runs = new MockRuns();

/** The only fields of OpenAI's requests that are looked at. */
const openAiSchema = z.object({
  messages: z.array(z.object({ content: z.string() })),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
});

const MODEL: ServedModel = {
  id: modelId,
  created: 1_700_000_000,
  context_length: 8192,
  profile: {
    template: "chatml",
    attributes: [
      { name: "toxicity", default: 0 },
      { name: "helpfulness", default: 4 },
      { name: "verbosity", default: null },
    ],
  },
  calibration: null,
  sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0 },
};

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "", url: path = "" } = request;
  if (path === RUNS_PATH) return sendJson(response, 200, runs.report());
  if (path === READINESS_PATH) {
    const readiness: Readiness = { status: "ready", load: { generations: 0, tokens: 0 } };
    return sendJson(response, 200, readiness);
  }
  const body = await readBody(request);
  if (path === "/v1/chat/completions") {
    const { messages, stream, stream_options } = openAiSchema.parse(JSON.parse(body));
    const form = { stream: stream ?? false, includeUsage: stream_options?.include_usage ?? false, model: modelId };
    return answerRun(runs, runs.begin("", messages), { ...form, worker: null }, response);
  }
  const header = (name: string) => String(request.headers[name] ?? "");
  const signed = { id: header(ID_HEADER), timestamp: header(TIMESTAMP_HEADER), signature: header(SIGNATURE_HEADER) };
  await verifyRequest([key], signed, { method, path, body }, Date.now() / 1000);
  if (path === WORKER_MODELS_PATH) return sendJson(response, 200, { data: [MODEL] });
  if (path === GENERATIONS_PATH) {
    const asked = generateRequestSchema.parse(JSON.parse(body));
    const form = { stream: asked.stream, includeUsage: asked.include_usage, model: asked.model };
    return answerRun(runs, runs.begin(asked.generation, asked.messages), { ...form, worker: asked }, response);
  }
  const generation = /^\/v1\/generations\/(gen_\w+)\/cancel$/.exec(path)?.[1];
  const run = generation === undefined ? null : runs.cancel(generation);
  if (run === null) throw new AttuneError("not_found", "No such generation.");
  const state = run.state === "completed" ? "completed" : "cancelled";
  sendJson(response, 200, { id: run.generation, state, usage: usageOf(run.promptTokens, run.completionTokens) });
}

const server = createServer((request, response) => {
  handle(request, response).catch((thrown: unknown) => {
    const error = toAttuneError(thrown);
    // Whoever asked is told; what goes wrong in here is told to the person who looks on too.
    if (!(thrown instanceof AttuneError)) console.error(thrown);
    if (response.headersSent) response.destroy();
    else sendJson(response, error.status, error.toBody());
  });
});
// An idle connection that is closed just as a gateway uses it again would fail a request for no fault of the gateway.
server.keepAliveTimeout = 0;
endWithParent();
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The mock upstream has no port.");
  process.send?.({ url: `http://127.0.0.1:${address.port}` });
});
