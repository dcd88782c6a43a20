import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { usageOf } from "../../schema/api/chat.ts";
import type { ServedModel } from "../../schema/api/models.ts";
import { LEVELS } from "../../schema/attributes.ts";
import { AttuneError, type ErrorCode, toAttuneError } from "../../schema/wire/errors.ts";
import { DONE_LINE, formatFrame } from "../../schema/wire/frames.ts";
import {
  COMPLETION_TOKENS_HEADER,
  choicesOf,
  GENERATIONS_PATH,
  type GenerateRequest,
  type GenerationReport,
  generateRequestSchema,
  PROMPT_TOKENS_HEADER,
  WORKER_MODELS_PATH,
} from "../../schema/wire/generate.ts";
import { READINESS_PATH, type Readiness, readinessSchema } from "../../schema/wire/readiness.ts";
import { SCORE_PATH, type ScoreAnswer, type ScoreRequest, scoreRequestSchema } from "../../schema/wire/score.ts";
import {
  ID_HEADER,
  importSigningKey,
  SIGNATURE_HEADER,
  TIMESTAMP_HEADER,
  verifyRequest,
} from "../../schema/wire/signature.ts";
import { plantedCalibration } from "../fixtures/planted-calibration.ts";
import type { SeenGeneration } from "./seen.ts";

/** Answers to level 4 are as long as wished for level 3. */
const CALIBRATION = plantedCalibration(
  {
    verbosity: { unit: "words", edges: [2, 4, 6, 8], curves: { 1: [1, 2, 3, 5, 7], 2: [1, 2, 3, 5, 12] } },
    toxicity: { steerable: false, curves: { 1: [0, 0, 0, 0, 0] } },
  },
  { defaultStrength: 1 },
);

const MODELS: ServedModel[] = [
  {
    id: "steered",
    created: 1_700_000_000,
    context_length: 2048,
    profile: {
      template: "chatml",
      attributes: [
        { name: "toxicity", default: 0 },
        { name: "helpfulness", default: 4 },
        { name: "verbosity", default: null },
      ],
    },
    calibration: CALIBRATION,
    sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0 },
  },
  {
    id: "plain",
    created: 1_700_000_000,
    context_length: 2048,
    profile: null,
    calibration: null,
    sampling: { temperature: 0.2, top_p: 0.9, top_k: 0, min_p: 0 },
  },
];

type MockRefusal = { code: ErrorCode; message: string; retryAfter?: string };

/** Answers where the first word of the last message names one; see {@link answer} for the others. */
const REFUSALS: Record<string, MockRefusal> = {
  "queue-full": { code: "queue_full", message: "The queue is full.", retryAfter: "3" },
  "too-long": { code: "context_length_exceeded", message: "The prompt is too long." },
  "too-late": { code: "deadline_exceeded", message: "The deadline passed in the queue." },
  draining: { code: "worker_unavailable", message: "Draining.", retryAfter: "7" },
  explodes: { code: "internal_error", message: "secret stack trace" },
};

/** What an answer without streaming fails with after its tokens, where the first word of the last message names one. */
const FAILURES: Record<string, AttuneError> = {
  fails: new AttuneError("generation_failed", "The worker failed."),
  toxic: new AttuneError("content_filtered", "It is too toxic. Change the conversation."),
  unread: new AttuneError("moderation_unavailable", "It could not be read. Try again later."),
};

/** Answers of so many numbers: one every 20 ms, or, where they are long, as fast as it goes. */
const NUMBERS: Record<string, number> = { slow: 500, brisk: 25, huge: 1200 };

/** Multi-byte on purpose: no cut may damage it. */
const ANSWER = ["Grüß", " dich", ", 世界", " 👋🏽", "!"];

/** Prompt tokens the mock counts: words. */
const countPrompt = (request: GenerateRequest) =>
  request.messages.reduce((sum, message) => sum + message.content.split(/\s+/).length, 0);

const lastText = (request: GenerateRequest) => request.messages.at(-1)?.content ?? "";

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return body;
}

function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

function refuse({ code, message, retryAfter }: MockRefusal, response: ServerResponse): void {
  const error = new AttuneError(code, message, { param: "messages" });
  sendJson(response, error.status, error.toBody(), retryAfter === undefined ? {} : { "retry-after": retryAfter });
}

/** How the answer as a whole says that it was steered, and how one of its choices does. */
const answerEcho = ({ fan_out, steering }: GenerateRequest) => (fan_out === undefined ? { steer: steering } : {});
const choiceEcho = ({ fan_out }: GenerateRequest, index: number) =>
  fan_out === undefined ? {} : { steer: fan_out[index] };

function chunkOf(seen: SeenGeneration, index: number, delta: object, finishReason: string | null): object {
  const { generation: id, model, include_usage } = seen.request;
  const echo = finishReason === null ? {} : choiceEcho(seen.request, index);
  const choices = [{ index, delta, finish_reason: finishReason, ...echo }];
  return {
    id,
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model,
    choices,
    ...(finishReason !== null && answerEcho(seen.request)),
    ...(finishReason !== null && include_usage && { usage: seen.usage }),
  };
}

/** Streams as the worker does; the behaviour's name decides where it goes wrong. */
async function stream(behaviour: string, seen: SeenGeneration, response: ServerResponse): Promise<void> {
  const prompt = seen.usage.prompt_tokens;
  response.writeHead(200, { "content-type": "text/event-stream", [PROMPT_TOKENS_HEADER]: String(prompt) });
  response.flushHeaders();
  const closed = new Promise<"closed">((resolve) => response.once("close", () => resolve("closed")));
  const pause = (ms: number) => Promise.race([closed, delay(ms)]);
  if (behaviour === "silent") return void (await closed);
  response.write(": admitted\n\n");
  const length = NUMBERS[behaviour];
  const pad = "x".repeat(behaviour === "huge" ? 60_000 : 0);
  const words = length === undefined ? ANSWER : Array.from({ length }, (_, index) => ` ${index}${pad}`);
  const choices = choicesOf(seen.request).map((_, choice) => choice);
  const pieces = words.flatMap((content) => choices.map((choice) => ({ content, choice })));
  for (const [index, { content, choice }] of pieces.entries()) {
    seen.usage = usageOf(prompt, index + 1);
    const id = { generation: seen.request.generation, sequence: index, completionTokens: index + 1 };
    const frame = Buffer.from(formatFrame(chunkOf(seen, choice, { content }, null), id));
    if (behaviour === "bytewise") {
      for (const byte of frame) response.write(Buffer.of(byte));
    } else {
      response.write(frame);
    }
    if (behaviour === "dies" && index === 2) return void response.end("id: gen_0000");
    if (behaviour === "fails" && index === 2) {
      return void response.end(formatFrame(new AttuneError("generation_failed", "The worker failed.").toBody()));
    }
    if ((await pause(length === undefined || pad !== "" ? 0 : 20)) === "closed") return;
  }
  seen.state = "completed";
  const finish = choices.map((choice) => formatFrame(chunkOf(seen, choice, {}, "stop")));
  response.end(`${finish.join("")}${DONE_LINE}\n\n`);
}

async function answerWhole(behaviour: string, seen: SeenGeneration, response: ServerResponse): Promise<void> {
  if (behaviour === "silent") return void (await new Promise((resolve) => response.once("close", resolve)));
  const { generation: id, model } = seen.request;
  const error = FAILURES[behaviour];
  if (error !== undefined) {
    const counts = { [PROMPT_TOKENS_HEADER]: String(seen.usage.prompt_tokens), [COMPLETION_TOKENS_HEADER]: "2" };
    return sendJson(response, error.status, error.toBody(), counts);
  }
  const steerings = choicesOf(seen.request);
  seen.usage = usageOf(seen.usage.prompt_tokens, steerings.length * ANSWER.length);
  seen.state = "completed";
  const message = { role: "assistant", content: ANSWER.join("") };
  const choices = steerings.map((_, index) => {
    return { index, message, finish_reason: "stop", ...choiceEcho(seen.request, index) };
  });
  const body = {
    id,
    object: "chat.completion",
    created: 1_700_000_000,
    model,
    choices,
    usage: seen.usage,
    ...answerEcho(seen.request),
  };
  sendJson(response, 200, body, {
    [PROMPT_TOKENS_HEADER]: String(seen.usage.prompt_tokens),
    [COMPLETION_TOKENS_HEADER]: String(seen.usage.completion_tokens),
  });
}

/** Reads answers as the worker does: helpfulness is always 3.2, toxicity 0, verbosity the number of words. */
function score(request: ScoreRequest, response: ServerResponse): void {
  const refusal = REFUSALS[request.items[0]?.answer.split(" ")[0] ?? ""];
  if (refusal !== undefined) {
    const error = new AttuneError(refusal.code, refusal.message, { param: "messages" });
    sendJson(response, error.status, error.toBody());
    return;
  }
  const data = request.items.map(({ answer }): ScoreAnswer["data"][number] => {
    const words = answer.split(/\s+/).length;
    const level = LEVELS.find((edge) => words <= 2 * edge + 2) ?? 4;
    return {
      attributes: {
        toxicity: { value: 0, level: 0, method: "apm", unit: "level" },
        helpfulness: { value: 3.2, level: 3, method: "apm", unit: "level" },
        verbosity: { value: words, level, method: "rule", unit: "words" },
      },
      statistics: { words, sentences: 1, coleman_liau: 5, flesch_kincaid: 4 },
    };
  });
  sendJson(response, 200, { predicted: request.model === "steered", data } satisfies ScoreAnswer);
}

async function generate(
  request: GenerateRequest,
  seenByText: Map<string, SeenGeneration>,
  response: ServerResponse,
): Promise<void> {
  const behaviour = lastText(request).split(" ")[0] ?? "";
  const usage = usageOf(countPrompt(request), 0);
  const { headers } = response.req;
  const seen: SeenGeneration = { request, headers, state: "running", usage, connectionClosed: false, cancels: 0 };
  seenByText.set(lastText(request), seen);
  const refusal = REFUSALS[behaviour];
  if (refusal !== undefined) return refuse(refusal, response);
  response.once("close", () => {
    seen.connectionClosed = !response.writableFinished;
    if (seen.state === "running") seen.state = "cancelled";
  });
  await (request.stream ? stream(behaviour, seen, response) : answerWhole(behaviour, seen, response));
}

/** How a mock is, beyond what a request's behaviour says; tests set it by `POST /control`, where what they leave out is as usual. */
const mockStateSchema = z.strictObject({
  readiness: readinessSchema.shape.status.default("ready"),
  /** As it reports it. */
  tokens: z.int().default(0),
  /** How it refuses every generate and score request, one of {@link REFUSALS}; `null`: it answers. */
  refusing: z.string().nullable().default(null),
  /** Milliseconds before it says anything to a generate request. */
  silence: z.int().default(0),
  /** Ids of the models it serves, all like the first of {@link MODELS} but those there. */
  models: z.array(z.string()).default(MODELS.map(({ id }) => id)),
});
type MockState = z.infer<typeof mockStateSchema>;

const servedAs = (id: string) =>
  MODELS.find((model) => model.id === id) ?? MODELS.slice(0, 1).map((model) => ({ ...model, id }))[0];

function sendReadiness({ readiness: status, tokens }: MockState, response: ServerResponse): void {
  const body: Readiness = { status, load: { generations: 0, tokens } };
  sendJson(response, status === "ready" ? 200 : 503, body);
}

/** A stand-in for the inference worker: real HTTP, real signatures, scripted answers. */
export async function startMockWorker(secret: string): Promise<{ url: string; close: () => Promise<void> }> {
  const key = await importSigningKey(secret);
  const seenByText = new Map<string, SeenGeneration>();
  let state = mockStateSchema.parse({});

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url: path = "" } = request;
    const seenQuery = new URL(path, "http://mock").searchParams.get("text");
    if (path.startsWith("/seen")) return sendJson(response, 200, seenByText.get(seenQuery ?? "") ?? null);
    if (path === READINESS_PATH) return sendReadiness(state, response);
    const body = await readBody(request);
    if (path === "/control") {
      state = mockStateSchema.parse(JSON.parse(body));
      return sendJson(response, 200, state);
    }
    const header = (name: string) => String(request.headers[name] ?? "");
    const signed = { id: header(ID_HEADER), timestamp: header(TIMESTAMP_HEADER), signature: header(SIGNATURE_HEADER) };
    await verifyRequest([key], signed, { method, path, body }, Date.now() / 1000);
    const refusal = state.refusing === null ? undefined : REFUSALS[state.refusing];
    if (refusal !== undefined && (path === SCORE_PATH || path === GENERATIONS_PATH)) return refuse(refusal, response);
    if (path === SCORE_PATH) return score(scoreRequestSchema.parse(JSON.parse(body)), response);
    if (path === WORKER_MODELS_PATH) return sendJson(response, 200, { data: state.models.map(servedAs) });
    if (path === GENERATIONS_PATH && state.silence > 0) await delay(state.silence);
    if (path === GENERATIONS_PATH) return generate(generateRequestSchema.parse(JSON.parse(body)), seenByText, response);
    const seen = [...seenByText.values()].find((entry) => path.includes(`/${entry.request.generation}/cancel`));
    if (seen === undefined) throw new AttuneError("not_found", "No such generation.");
    seen.cancels += 1;
    if (seen.state === "running") seen.state = "cancelled";
    const report: GenerationReport = { id: seen.request.generation, state: seen.state, usage: seen.usage };
    sendJson(response, 200, report);
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((thrown: unknown) => {
      const error = toAttuneError(thrown);
      sendJson(response, error.status, error.toBody());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The mock worker has no port.");
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${address.port}`, close };
}
