import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { type Choice, Choices, type ChoicesEnding } from "../../gpu-worker/server/choices.ts";
import type { RunningWorker, ServeOptions } from "../../gpu-worker/server/serve.ts";
import { usageSchema } from "../../schema/api/chat.ts";
import type { Level } from "../../schema/attributes.ts";
import { type EffectiveSteering, effectiveSteeringSchema } from "../../schema/steering.ts";
import { parseFrameId } from "../../schema/wire/frames.ts";
import { cancelPath, GENERATIONS_PATH } from "../../schema/wire/generate.ts";
import { RECORDED } from "../fixtures/remote-traffic.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { TINY_SECRET as SECRET, startTinyWorker, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { connectTo, counted, DONE } from "./remote-harness.ts";
import { signedClient } from "./signed-client.ts";

const steeredBy = (verbosity: Level, strength?: number): EffectiveSteering => ({
  effective: { verbosity },
  method: "label_line",
  ...(strength !== undefined && { guidance: { strength, against: {} } }),
  preset: null,
  clamped: [],
  not_trained: [],
  note: null,
});

let model: Awaited<ReturnType<typeof writeTinyModel>>;
/** One with room for everybody, and one that has two rows and lets one request wait. */
let [roomy, small]: RunningWorker[] = [];

async function start(options: Pick<ServeOptions, "rows" | "queue">): Promise<RunningWorker> {
  const profile = await writeTinyProfile(model.directory, [{ name: "verbosity", default: null }]);
  return startTinyWorker(model.path, { profile, ...options });
}

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  roomy = await start({ rows: 8, queue: 8 });
  small = await start({ rows: 2, queue: 1 });
});
afterAll(async () => {
  await roomy?.close(5);
  await small?.close(5);
  await model.remove();
});

function urlOf(worker: RunningWorker | undefined): string {
  if (worker === undefined) throw new Error("The worker is not running");
  return worker.url;
}

let count = 0;

type Fields = {
  content?: string;
  sampling?: object;
  stream?: boolean;
  include_usage?: boolean;
  n?: number;
  steering?: EffectiveSteering;
  fan_out?: EffectiveSteering[];
};

function request({ content = "hello", sampling = {}, ...fields }: Fields = {}) {
  return {
    generation: `gen_fan${String(++count).padStart(12, "0")}`,
    dialect: "openai",
    model: "tiny",
    messages: [{ role: "user", content }],
    steering: steeredBy(2),
    stream: false,
    include_usage: false,
    ...fields,
    // At random, the tiny model would stop by chance.
    sampling: { temperature: 1, ignore_eos: true, max_tokens: 12, ...sampling },
  };
}

const send = (body: object, worker = roomy, init?: { signal?: AbortSignal }) =>
  signedClient(urlOf(worker), SECRET).send("POST", GENERATIONS_PATH, body, init);

/** Reads a stream until it has said so. */
async function readUntil(response: Response, wanted: string): Promise<void> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes(wanted); ) {
    const { value, done } = (await reader?.read()) ?? { done: true };
    if (done) throw new Error(`ended before ${wanted}: ${text}`);
    text += value;
  }
}

async function metric(name: string, worker = roomy): Promise<number> {
  const text = await (await fetch(`${urlOf(worker)}/metrics`)).text();
  return Number(new RegExp(`^${name}{[^}]*} (.+)$`, "m").exec(text)?.[1] ?? 0);
}

const bodySchema = z.object({
  choices: z.array(
    z.object({
      index: z.number(),
      message: z.object({ role: z.literal("assistant"), content: z.string() }),
      logprobs: z.object({ content: z.array(z.object({ token: z.string() })) }).nullable(),
      finish_reason: z.string(),
      steer: effectiveSteeringSchema.optional(),
    }),
  ),
  usage: usageSchema,
  steer: effectiveSteeringSchema.optional(),
});
const chunkSchema = z.object({
  choices: z.array(
    z.object({
      index: z.number(),
      delta: z.object({ role: z.string().optional(), content: z.string().optional() }),
      finish_reason: z.string().nullable(),
      steer: effectiveSteeringSchema.optional(),
    }),
  ),
  usage: usageSchema.nullish(),
  steer: effectiveSteeringSchema.optional(),
});

async function whole(fields: Fields) {
  const response = await send(request(fields));
  const body = bodySchema.parse(await response.json());
  expect(response.headers.get("attune-prompt-tokens")).toBe(String(body.usage.prompt_tokens));
  expect(response.headers.get("attune-completion-tokens")).toBe(String(body.usage.completion_tokens));
  expect(body.choices.map(({ index }) => index)).toEqual(body.choices.map((_, index) => index));
  return { ...body, texts: body.choices.map(({ message }) => message.content) };
}

async function streamed(fields: Fields) {
  const response = await send(request({ stream: true, include_usage: true, ...fields }));
  const events = (await response.text()).split("\n\n").filter((event) => event !== "");
  expect(events.at(-1)).toBe("data: [DONE]");
  return events.slice(0, -1).map((event) => {
    const [idLine = "", dataLine = ""] = event.split("\n");
    const chunk = chunkSchema.parse(JSON.parse(dataLine.slice("data: ".length)));
    return { id: parseFrameId(idLine.slice("id: ".length)), chunk, choice: chunk.choices[0] };
  });
}

describe("n answers", () => {
  it("differ under one seed, and the first is the answer of n = 1", async () => {
    const sampling = { seed: 7, max_tokens: 30 };
    const three = await whole({ n: 3, sampling });
    expect(new Set(three.texts).size).toBe(3);
    expect(three.texts[0]).toBe((await whole({ sampling })).texts[0]);
    expect(await whole({ n: 3, sampling })).toEqual(three);
    expect(three.steer).toEqual(steeredBy(2));
    expect(three.choices.every(({ steer }) => steer === undefined)).toBe(true);
  });

  it("count their prompt once and all of their tokens", async () => {
    const one = await whole({});
    const three = await whole({ n: 3 });
    expect(three.usage).toEqual({
      prompt_tokens: one.usage.prompt_tokens,
      completion_tokens: 36,
      total_tokens: one.usage.prompt_tokens + 36,
    });
  });

  it("have log-probabilities each", async () => {
    const { choices } = await whole({ n: 2, sampling: { logprobs: 0 } });
    expect(choices.map(({ logprobs }) => logprobs?.content.length)).toEqual([12, 12]);
  });

  it("read their prompt once", async () => {
    const computed = async (sampling: object, content: string) => {
      const before = (await metric("vllm:prompt_tokens_total")) - (await metric("vllm:prefix_cache_hits_total"));
      const { usage } = await whole({ n: 4, content, sampling });
      const after = (await metric("vllm:prompt_tokens_total")) - (await metric("vllm:prefix_cache_hits_total"));
      return { prompt: usage.prompt_tokens, computed: after - before };
    };
    const atRandom = await computed({}, "a new question ".repeat(20));
    // Each needs its own logits after the last token. What begins every prompt may be known from earlier ones.
    expect(atRandom.computed).toBeLessThanOrEqual(atRandom.prompt + 3);
    expect(atRandom.prompt).toBeGreaterThan(300);
    // A reproducible answer computes its last two tokens itself.
    const seeded = await computed({ seed: 1 }, "one more question ".repeat(15));
    expect(seeded.computed).toBeLessThanOrEqual(seeded.prompt + 3 * 2);
    expect(seeded.prompt).toBeGreaterThan(4 * 64);
  });

  it("stream side by side as choices of one response", async () => {
    const sampling = { seed: 7, max_tokens: 300 };
    const frames = await streamed({ n: 3, sampling });
    const { texts, usage } = await whole({ n: 3, sampling });
    for (const index of [0, 1, 2]) {
      const own = frames.flatMap(({ choice, chunk }) => (choice?.index === index ? [{ choice, chunk }] : []));
      expect(own[0]?.choice.delta).toEqual({ role: "assistant", content: "" });
      expect(own.map(({ choice }) => choice.delta.content ?? "").join("")).toBe(texts[index]);
      expect(own.at(-1)).toMatchObject({
        choice: { delta: {}, finish_reason: "length" },
        chunk: { steer: steeredBy(2) },
      });
      expect(own.slice(0, -1).every(({ choice }) => choice.finish_reason === null)).toBe(true);
    }
    const order = frames.slice(0, -1).map(({ choice }) => choice?.index);
    expect(order.slice(order.indexOf(2)).includes(0)).toBe(true);
    expect(frames.at(-1)?.chunk).toMatchObject({ choices: [], usage });
    expect(frames.filter(({ chunk }) => chunk.usage != null)).toHaveLength(1);
  });

  it("are counted together in the ids of the frames", async () => {
    const frames = await streamed({ n: 3 });
    expect(frames.map(({ id }) => id?.sequence)).toEqual(frames.map((_, index) => index));
    const counts = frames.map(({ id }) => id?.completionTokens ?? -1);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(counts.at(-1)).toBe(36);
  });

  it("keep to a response format each", async () => {
    const wanted = z.object({ ok: z.boolean(), n: z.literal([1, 2, 3]) });
    const schema = z.toJSONSchema(wanted);
    const sampling = { response_format: { type: "json_schema", schema }, ignore_eos: false, max_tokens: 200 };
    const { choices } = await whole({ n: 4, sampling });
    const complete = choices.filter(({ finish_reason }) => finish_reason === "stop");
    expect(complete.length).toBeGreaterThan(0);
    for (const { message } of complete) wanted.parse(JSON.parse(message.content));
  });
});

describe("a fan-out", () => {
  const levels = [0, 4, 1] as const;
  const sampling = { temperature: 0, max_tokens: 30 };

  it("answers each as it is steered, and each choice says how", async () => {
    const fan_out = levels.map((level) => steeredBy(level));
    const { texts, choices, usage, ...body } = await whole({ fan_out, sampling });
    expect(choices.map(({ steer }) => steer)).toEqual(fan_out);
    expect(body.steer).toBeUndefined();
    const alone = await Promise.all(fan_out.map((steering) => whole({ steering, sampling })));
    expect(texts).toEqual(alone.flatMap((answer) => answer.texts));
    expect(new Set(texts).size).toBeGreaterThan(1);
    // From the level on, each prompt goes its own way: `2<|im_end|>\n<|im_start|>assistant\n`, the level's token first.
    const [first = 0] = alone.map((answer) => answer.usage.prompt_tokens);
    const remainder = (usage.prompt_tokens - first) / 2;
    expect(remainder).toBeGreaterThan(0);
    expect(remainder).toBeLessThan(20);
  });

  it("says so in the finish chunk of each choice", async () => {
    const frames = await streamed({ fan_out: levels.map((level) => steeredBy(level)), sampling });
    const finished = frames.filter(({ choice }) => choice?.finish_reason != null);
    expect(finished).toHaveLength(3);
    for (const { choice, chunk } of finished) {
      expect(choice?.steer?.effective.verbosity).toBe(levels[choice?.index ?? 0]);
      expect(chunk.steer).toBeUndefined();
    }
  });

  it("may be guided, two rows to a choice", async () => {
    const fan_out = levels.map((level) => steeredBy(level, 3));
    const { texts, choices } = await whole({ fan_out, sampling });
    expect(choices.map(({ steer }) => steer)).toEqual(fan_out);
    const alone = await Promise.all(fan_out.map((steering) => whole({ steering, sampling })));
    expect(texts).toEqual(alone.flatMap((answer) => answer.texts));
  });
});

describe("an answer with choices that nobody waits for", () => {
  it.each(["hangs up", "cancels"])("frees the row of each when the edge %s", async (how) => {
    const abort = new AbortController();
    const body = request({ n: 3, stream: true, sampling: { max_tokens: 450 } });
    const response = await send(body, roomy, { signal: abort.signal });
    await readUntil(response, '"index":2');
    if (how === "hangs up") abort.abort();
    const report = await (await signedClient(urlOf(roomy), SECRET).send("POST", cancelPath(body.generation))).json();
    expect(report).toMatchObject({ id: body.generation, state: "cancelled" });
    const { usage } = z.object({ usage: usageSchema }).parse(report);
    expect(usage.completion_tokens).toBeGreaterThan(3);
    expect(usage.completion_tokens).toBeLessThan(3 * 450);
    expect(await metric("vllm:num_requests_running")).toBe(0);
    expect(await metric("vllm:num_requests_waiting")).toBe(0);
  });
});

describe("more answers than there is room for", () => {
  const refusal = async (body: object) => {
    const response = await send(body, small);
    const { error } = z
      .object({ error: z.object({ code: z.string(), param: z.string().nullable(), message: z.string() }) })
      .parse(await response.json());
    return { status: response.status, ...error };
  };

  it("are refused together, and leave the queue as it was", async () => {
    const long = await send(request({ stream: true, sampling: { max_tokens: 450 } }), small);
    const body = request({ n: 3, sampling: { max_tokens: 450 } });
    expect(await refusal(body)).toMatchObject({ status: 429, code: "queue_full" });
    await expect.poll(() => metric("vllm:num_requests_waiting", small)).toBe(0);
    expect(await metric("vllm:num_requests_running", small)).toBeLessThanOrEqual(1);
    const cancelled = await signedClient(urlOf(small), SECRET).send("POST", cancelPath(body.generation));
    expect(cancelled.status).toBe(404);
    expect((await send(request({ n: 2 }), small)).status).toBe(200);
    expect(await long.text()).toMatch(/:450\ndata:.*"finish_reason":"length"/);
  });

  it("ever are refused with how many there may be", async () => {
    expect(await refusal(request({ n: 4 }))).toMatchObject({
      status: 400,
      code: "invalid_request",
      param: "n",
      message: expect.stringContaining("3 of these answers"),
    });
    const held = async () =>
      (await metric("vllm:num_requests_waiting", small)) + (await metric("vllm:num_requests_running", small));
    await expect.poll(held).toBe(0);
    const three = await send(request({ n: 3 }), small);
    expect(bodySchema.parse(await three.json()).choices).toHaveLength(3);
  });
});

describe("choices of which one fails", () => {
  it("fail together: the others are stopped, and all that was generated counts", async () => {
    let asked = 0;
    const { engine } = await connectTo((response) => {
      const first = ++asked === 1;
      response.write(counted(first ? "a" : "b", first ? 2 : 5));
      // The first goes on until it is stopped, the second breaks off once both were heard.
      if (!first) setImmediate(() => response.end(DONE));
    });
    const released: string[] = [];
    const ended: string[] = [];
    const choices = ["a", "b"].map(
      (id): Choice => ({
        generation: { ...RECORDED.length, id },
        clock: { onStarted() {}, onText() {}, onEnd: ({ kind }) => void ended.push(`${id} ${kind}`) },
        release: () => void released.push(id),
      }),
    );
    const ending = await new Promise<ChoicesEnding>((onEnd) => {
      new Choices(engine, choices, { onStarted() {}, onText() {}, onFinish() {}, onEnd }).submit();
    });
    expect(ending).toMatchObject({ kind: "failed", reason: expect.stringContaining("closed the stream") });
    expect(ended).toEqual(["b failed", "a cancelled"]);
    expect(ending.completionTokens).toBe(7);
    expect(released.toSorted()).toEqual(["a", "b"]);
  });
});
