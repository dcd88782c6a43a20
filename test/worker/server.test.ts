import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type RunningWorker, type ServeOptions, serve } from "../../gpu-worker/server/serve.ts";
import type { SteeringProfile } from "../../schema/attributes.ts";
import type { EffectiveSteering } from "../../schema/steering.ts";
import { parseFrameId } from "../../schema/wire/frames.ts";
import { cancelPath, GENERATIONS_PATH, WORKER_MODELS_PATH } from "../../schema/wire/generate.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { signedClient } from "./signed-client.ts";

const SECRET = "a-secret-for-tests-only";
const PROFILE: SteeringProfile = {
  template: "chatml",
  attributes: [
    { name: "quality", default: 4 },
    { name: "verbosity", default: null },
  ],
};
const STEERING: EffectiveSteering = {
  effective: { quality: 4, verbosity: 1 },
  method: "label_line",
  preset: null,
  clamped: [],
  not_trained: [],
  note: null,
};
const optionsFor = (path: string): ServeOptions => ({
  model: path,
  id: "tiny",
  host: "127.0.0.1",
  port: 0,
  secret: SECRET,
  threads: 1,
  rows: 2,
  queue: 1,
  queueTokens: 400,
  kvMemory: 64,
  prefixMemory: 16,
});

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let worker: RunningWorker;
let client: ReturnType<typeof signedClient>;
let count = 0;

beforeAll(async () => {
  model = await writeTinyModel();
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  const profile = join(model.directory, "profile.json");
  await writeFile(profile, JSON.stringify(PROFILE));
  worker = await serve({ ...optionsFor(model.path), profile }, pino({ enabled: false }));
  await worker.ready;
  client = signedClient(worker.url, SECRET);
});
afterAll(async () => {
  await worker.close(5);
  await model.remove();
});

type Overrides = {
  sampling?: object;
  stream?: boolean;
  include_usage?: boolean;
  content?: string;
  steering?: EffectiveSteering;
};

function generation(overrides: Overrides = {}) {
  const { content = "hello", sampling = {}, ...rest } = overrides;
  return {
    generation: `gen_${String(++count).padStart(12, "0")}`,
    dialect: "openai",
    model: "tiny",
    messages: [{ role: "user", content }],
    steering: STEERING,
    stream: false,
    include_usage: false,
    ...rest,
    // Greedy: at random, the tiny model would stop by chance.
    sampling: { temperature: 0, max_tokens: 8, ...sampling },
  };
}

const generate = (body: object, init?: { signal?: AbortSignal }) => client.send("POST", GENERATIONS_PATH, body, init);

async function metric(line: string): Promise<number> {
  const text = await (await fetch(`${worker.url}/metrics`)).text();
  const found = text.split("\n").find((candidate) => candidate.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1) ?? 0);
}

type Chunk = {
  id: string;
  choices: { delta: { content?: string; role?: string }; finish_reason: string | null }[];
  usage?: object | null;
  steer?: EffectiveSteering;
};

/** The frames of a finished stream: their ids and their data, `[DONE]` left out. */
function framesOf(stream: string): { id: ReturnType<typeof parseFrameId>; chunk: Chunk }[] {
  const events = stream.split("\n\n").filter((event) => event !== "");
  expect(events.at(-1)).toBe("data: [DONE]");
  return events.slice(0, -1).map((event) => {
    const [idLine = "", dataLine = ""] = event.split("\n");
    return { id: parseFrameId(idLine.slice("id: ".length)), chunk: JSON.parse(dataLine.slice("data: ".length)) };
  });
}

describe("signatures", () => {
  const refusal = async (response: Response) => {
    const { error } = (await response.json()) as { error: { code: string } };
    return [response.status, error.code];
  };

  it("refuses whoever is not the edge", async () => {
    const body = JSON.stringify(generation());
    const post = (headers: Record<string, string>) =>
      fetch(worker.url + GENERATIONS_PATH, { method: "POST", headers, body }).then(refusal);
    const foreign = signedClient(worker.url, "another-secret-entirely");
    const signed = await client.headersFor("POST", GENERATIONS_PATH, body);
    expect(await post({})).toEqual([401, "invalid_signature"]);
    expect(await post(await foreign.headersFor("POST", GENERATIONS_PATH, body))).toEqual([401, "invalid_signature"]);
    expect(await post(await client.headersFor("POST", "/v1/other", body))).toEqual([401, "invalid_signature"]);
    expect(await post(await client.headersFor("POST", GENERATIONS_PATH, `${body} `))).toEqual([
      401,
      "invalid_signature",
    ]);
    expect(await post({ ...signed, "webhook-timestamp": "1" })).toEqual([401, "invalid_signature"]);
  });

  it("accepts a signed request once", async () => {
    const body = JSON.stringify(generation());
    const headers = await client.headersFor("POST", GENERATIONS_PATH, body);
    const post = () => fetch(worker.url + GENERATIONS_PATH, { method: "POST", headers, body });
    expect((await post()).status).toBe(200);
    expect(await refusal(await post())).toEqual([401, "invalid_signature"]);
  });
});

describe("an answer without streaming", () => {
  it("has the text, exact usage and the steering echo, in OpenAI's form", async () => {
    const request = generation();
    const response = await generate(request);
    expect(response.status).toBe(200);
    const body = (await response.json()) as {
      usage: { prompt_tokens: number };
      choices: { message: { content: string } }[];
    };
    expect(body).toMatchObject({
      id: request.generation,
      object: "chat.completion",
      model: "tiny",
      choices: [{ index: 0, finish_reason: "length", message: { role: "assistant" } }],
      usage: { completion_tokens: 8, total_tokens: body.usage.prompt_tokens + 8 },
      steer: STEERING,
    });
    expect(response.headers.get("attune-completion-tokens")).toBe("8");
    expect(response.headers.get("attune-prompt-tokens")).toBe(String(body.usage.prompt_tokens));
  });

  it("depends on the label line, and on nothing else that is random", async () => {
    const ask = async (verbosity: 0 | 4) => {
      const steering = { ...STEERING, effective: { verbosity } };
      const response = await generate(generation({ steering, sampling: { max_tokens: 30 } }));
      return ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message.content;
    };
    expect(await ask(0)).toBe(await ask(0));
    expect(await ask(0)).not.toBe(await ask(4));
  });
});

describe("a guided answer", () => {
  it("follows its label line more strongly, and says how strongly", async () => {
    const ask = async (guidance?: EffectiveSteering["guidance"]) => {
      const steering = { ...STEERING, ...(guidance && { guidance }) };
      const response = await generate(generation({ steering, sampling: { max_tokens: 30 } }));
      const body = (await response.json()) as { choices: { message: { content: string } }[]; steer: EffectiveSteering };
      expect(body.steer.guidance).toEqual(guidance);
      return body.choices[0]?.message.content;
    };
    const plain = await ask();
    expect(await ask({ strength: 1, against: {} })).toBe(plain);
    // Away from itself: nothing to amplify.
    expect(await ask({ strength: 3, against: STEERING.effective })).toBe(plain);
    const away = await ask({ strength: 3, against: {} });
    expect(away).not.toBe(plain);
    expect(await ask({ strength: 3, against: { verbosity: 4 } })).not.toBe(away);
  });
});

describe("a streamed answer", () => {
  it("comes as OpenAI chunks whose ids count its tokens, and ends with the steering echo", async () => {
    const request = generation({ stream: true, sampling: { max_tokens: 12 } });
    const response = await generate(request);
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const frames = framesOf(await response.text());
    expect(frames.map(({ id }) => id?.sequence)).toEqual(frames.map((_, index) => index));
    expect(
      frames.every(({ id, chunk }) => id?.generation === request.generation && chunk.id === request.generation),
    ).toBe(true);
    expect(frames[0]?.chunk.choices[0]?.delta).toEqual({ role: "assistant", content: "" });
    expect(frames.at(-1)?.chunk.choices[0]).toEqual({ index: 0, delta: {}, finish_reason: "length" });
    expect(frames.at(-1)?.chunk.steer).toEqual(STEERING);
    expect(frames.at(-1)?.id?.completionTokens).toBe(12);
    expect(frames.some(({ chunk }) => "usage" in chunk)).toBe(false);
  });

  it("is the same text as without streaming", async () => {
    const streamed = framesOf(
      await (await generate(generation({ stream: true, sampling: { max_tokens: 40 } }))).text(),
    );
    const text = streamed.map(({ chunk }) => chunk.choices[0]?.delta.content ?? "").join("");
    const whole = await (await generate(generation({ sampling: { max_tokens: 40 } }))).json();
    expect(whole).toMatchObject({ choices: [{ message: { content: text } }] });
    expect(text.length).toBeGreaterThan(0);
  });

  it("ends with a usage chunk where that was asked for", async () => {
    const frames = framesOf(await (await generate(generation({ stream: true, include_usage: true }))).text());
    expect(frames.slice(0, -1).every(({ chunk }) => chunk.usage === null)).toBe(true);
    expect(frames.at(-1)?.chunk).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
  });

  it("frees its row when the edge hangs up, and a cancel then tells what was used", async () => {
    const abort = new AbortController();
    const request = generation({ stream: true, sampling: { max_tokens: 400 } });
    const aborted = await metric('vllm:request_success_total{model_name="tiny",engine="0",finished_reason="abort"}');
    const response = await generate(request, { signal: abort.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    expect(await metric('vllm:num_requests_running{model_name="tiny",engine="0"}')).toBe(1);
    abort.abort();
    const report = await (await client.send("POST", cancelPath(request.generation))).json();
    expect(report).toMatchObject({ id: request.generation, state: "cancelled" });
    const { usage } = report as { usage: { completion_tokens: number } };
    expect(usage.completion_tokens).toBeGreaterThan(0);
    expect(usage.completion_tokens).toBeLessThan(400);
    expect(await metric('vllm:num_requests_running{model_name="tiny",engine="0"}')).toBe(0);
    expect(await metric('vllm:request_success_total{model_name="tiny",engine="0",finished_reason="abort"}')).toBe(
      aborted + 1,
    );
  });
});

describe("log-probabilities", () => {
  type Entry = { token: string; logprob: number; bytes: number[] | null };
  type Logprobs = { content: (Entry & { top_logprobs: Entry[] })[]; refusal: null };
  const asked = (stream: boolean) => generation({ stream, sampling: { max_tokens: 40, logprobs: 2 } });

  it("come with each token of a whole answer, in OpenAI's form", async () => {
    const body = (await (await generate(asked(false))).json()) as {
      choices: { message: { content: string }; logprobs: Logprobs; finish_reason: string }[];
      usage: { completion_tokens: number };
    };
    const [choice] = body.choices;
    const { content = [], refusal } = choice?.logprobs ?? {};
    expect(refusal).toBeNull();
    expect(content.length).toBe(body.usage.completion_tokens - (choice?.finish_reason === "stop" ? 1 : 0));
    const spelled = Buffer.from(content.flatMap(({ bytes }) => bytes ?? []));
    // A character that was cut off at the end is in no text.
    expect(new TextDecoder().decode(spelled).startsWith(choice?.message.content ?? "?")).toBe(true);
    for (const { top_logprobs, ...token } of content) {
      // Greedy: what was taken was the most likely.
      expect(top_logprobs).toHaveLength(2);
      expect(top_logprobs[0]).toEqual(token);
      expect(token.logprob).toBeLessThanOrEqual(0);
    }
  });

  it("are the same in a stream, beside the text they belong to", async () => {
    const frames = framesOf(await (await generate(asked(true))).text());
    const whole = (await (await generate(asked(false))).json()) as { choices: { logprobs: Logprobs }[] };
    const chunks = frames.flatMap(({ chunk }) => chunk.choices as { logprobs?: Logprobs }[]);
    expect(chunks.flatMap(({ logprobs }) => logprobs?.content ?? [])).toEqual(whole.choices[0]?.logprobs.content);
  });

  it("are null where nobody asked", async () => {
    expect(await (await generate(generation())).json()).toMatchObject({ choices: [{ logprobs: null }] });
  });
});

describe("load", () => {
  it("decodes two requests in one batch", async () => {
    const together = 'attune:decode_batch_rows_bucket{le="2",model_name="tiny",engine="0"}';
    const single = 'attune:decode_batch_rows_bucket{le="1",model_name="tiny",engine="0"}';
    const before = (await metric(together)) - (await metric(single));
    await Promise.all([1, 2].map(async () => (await generate(generation({ sampling: { max_tokens: 300 } }))).json()));
    expect((await metric(together)) - (await metric(single))).toBeGreaterThan(before + 30);
  });

  it("answers 429 before any work when rows and queue are taken, and serves again after", async () => {
    const long = () => generate(generation({ stream: true, sampling: { max_tokens: 300 } }));
    const admitted = await Promise.all([long(), long(), long()]);
    expect(admitted.map(({ status }) => status)).toEqual([200, 200, 200]);
    const refused = await generate(generation());
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("2");
    expect(await refused.json()).toMatchObject({ error: { code: "queue_full", type: "rate_limit_error" } });
    await Promise.all(admitted.map((response) => response.text()));
    expect((await generate(generation())).status).toBe(200);
  });
});

describe("a request that cannot be served", () => {
  const refusal = async (body: unknown) => {
    const response = await client.send("POST", GENERATIONS_PATH, body);
    const { error } = (await response.json()) as { error: { code: string; param: string; message: string } };
    return { status: response.status, ...error };
  };

  it("is refused with what to change when it exceeds the context", async () => {
    const long = await refusal(generation({ content: "x".repeat(600) }));
    expect(long).toMatchObject({ status: 400, code: "context_length_exceeded", param: "messages" });
    expect(long.message).toContain("512");
    expect(await refusal(generation({ sampling: { max_tokens: 512 } }))).toMatchObject({
      code: "context_length_exceeded",
    });
  });

  it("answers as far as the context allows where no max_tokens is given", async () => {
    const response = await generate(generation({ content: "x".repeat(440), sampling: { max_tokens: null } }));
    const { usage, choices } = (await response.json()) as {
      usage: { total_tokens: number };
      choices: { finish_reason: string }[];
    };
    expect(choices[0]?.finish_reason === "stop" || usage.total_tokens === 512).toBe(true);
  });

  it("names what is wrong with it", async () => {
    expect(await refusal("{")).toMatchObject({ status: 400, code: "invalid_request" });
    expect(await refusal({ ...generation(), model: "other" })).toMatchObject({ status: 404, code: "model_not_found" });
    const badLevel = { ...generation(), steering: { ...STEERING, effective: { humor: 9 } } };
    expect(await refusal(badLevel)).toMatchObject({ status: 400, param: "steering.effective.humor" });
    const unknownToken = { sampling: { logit_bias: { 1: 1, 999999: 1 } } };
    expect(await refusal(generation(unknownToken))).toMatchObject({ status: 400, param: "logit_bias" });
    const unknownStop = { sampling: { stop_token_ids: [999999] } };
    expect(await refusal(generation(unknownStop))).toMatchObject({ status: 400, param: "stop_token_ids" });
    expect((await client.send("GET", "/v1/nothing")).status).toBe(404);
    expect((await client.send("POST", cancelPath("gen_unknown00"))).status).toBe(404);
  });
});

describe("operators", () => {
  it("see health, readiness and the served model", async () => {
    expect(await (await fetch(`${worker.url}/healthz`)).json()).toEqual({ status: "ok" });
    expect(await (await fetch(`${worker.url}/readyz`)).json()).toEqual({
      status: "ready",
      load: { generations: 0, tokens: 0 },
    });
    const models = await (await client.send("GET", WORKER_MODELS_PATH)).json();
    expect(models).toMatchObject({ data: [{ id: "tiny", context_length: 512, profile: PROFILE }] });
  });

  it("stop a worker without cutting off its answers", async () => {
    const second = await serve(optionsFor(model.path), pino({ enabled: false }));
    await second.ready;
    const steering = { ...STEERING, method: "none" as const, effective: {} };
    const body = generation({ stream: true, steering, sampling: { max_tokens: 200 } });
    const response = await signedClient(second.url, SECRET).send("POST", GENERATIONS_PATH, body);
    const closed = second.close(20);
    expect(framesOf(await response.text()).at(-1)?.chunk.choices[0]?.finish_reason).toMatch(/stop|length/);
    await closed;
    await expect(fetch(`${second.url}/healthz`)).rejects.toThrow();
  });
});
