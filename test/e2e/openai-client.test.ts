import type OpenAI from "openai";
import { APIError, BadRequestError, RateLimitError } from "openai";
import { describe, expect, it } from "vitest";
import { ENDLESS, FIVE, tinyStack } from "./tiny-stack.ts";

const stack = tinyStack();

const MESSAGES = [{ role: "user" as const, content: "hello" }];
const STEER = { attributes: { verbosity: 3 } };

type Fields = Record<string, unknown>;
/** What the tests ask for beyond OpenAI's own fields goes the way its client documents: as fields of the body. */
const chatBody = (fields: Fields = {}) => ({ model: "tiny", messages: MESSAGES, max_tokens: 20, ...FIVE, ...fields });
const responseBody = (fields: Fields = {}) => ({
  model: "tiny",
  input: "hello",
  max_output_tokens: 20,
  ...FIVE,
  ...fields,
});

async function failure(work: Promise<unknown>): Promise<APIError> {
  const thrown: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof APIError) return thrown;
  throw new Error(`Expected an API error, got ${thrown}`);
}

describe("a response, by the openai client", () => {
  const create = (fields?: Fields) => stack.client().responses.create({ ...responseBody(fields), stream: false });
  async function events(fields?: Fields): Promise<OpenAI.Responses.ResponseStreamEvent[]> {
    const seen: OpenAI.Responses.ResponseStreamEvent[] = [];
    const stream = await stack.client().responses.create({ ...responseBody(fields), stream: true });
    for await (const event of stream) seen.push(event);
    return seen;
  }

  it("is whole, with its text, exact usage and the steering that was applied", async () => {
    const response = await create({ steer: STEER, instructions: "Be kind.", metadata: { page: "7" }, store: false });
    expect(response).toMatchObject({
      object: "response",
      status: "completed",
      error: null,
      incomplete_details: null,
      instructions: "Be kind.",
      metadata: { page: "7" },
      model: "tiny",
      output_text: "aaaaa",
      temperature: 0,
      text: { format: { type: "text" } },
      steer: { effective: { verbosity: 3 }, method: "label_line" },
    });
    const { input_tokens = 0, output_tokens, total_tokens } = response.usage ?? {};
    // Five, and the one that ends it.
    expect([output_tokens, total_tokens]).toEqual([6, input_tokens + 6]);
    const plain = await create();
    expect(plain.usage?.input_tokens).toBeLessThan(input_tokens);
  });

  it("streams OpenAI's events in order, numbered, and ends in the same response", async () => {
    const seen = await events({ steer: STEER });
    const types = seen.map(({ type }) => type);
    expect(types.filter((type) => type !== "response.output_text.delta")).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(seen.map(({ sequence_number }) => sequence_number)).toEqual(seen.map((_, index) => index));
    const deltas = seen.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : []));
    expect(deltas.join("")).toBe("aaaaa");
    const last = seen.at(-1);
    const { output, usage } = await create({ steer: STEER });
    expect(last).toMatchObject({ response: { status: "completed", usage, steer: { effective: { verbosity: 3 } } } });
    expect(last).toMatchObject({ response: { output: output.map(({ id: _, ...item }) => item) } });
  });

  it("is put together by the client's own stream helper", async () => {
    const stream = stack.client().responses.stream(responseBody());
    const response = await stream.finalResponse();
    expect([response.status, response.output_text]).toEqual(["completed", "aaaaa"]);
  });

  it("that reaches its limit is incomplete, and says why", async () => {
    const cut = { status: "incomplete", incomplete_details: { reason: "max_output_tokens" }, max_output_tokens: 6 };
    const limited = { ...ENDLESS, min_tokens: 0, max_output_tokens: 6 };
    expect(await create(limited)).toMatchObject({ ...cut, output_text: "aaaaaa" });
    expect((await events(limited)).at(-1)).toMatchObject({ type: "response.incomplete", response: cut });
  });

  it("goes on from an earlier one's output", async () => {
    const first = await create();
    const input = [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "input_text", text: "hello" }] },
      ...first.output,
      { role: "user", content: "and then?" },
    ];
    const second = await create({ input });
    expect(second.output_text).toBe("aaaaa");
    expect(second.usage?.input_tokens).toBeGreaterThan(first.usage?.input_tokens ?? 0);
  });

  it.each([
    ["low", 1],
    ["medium", 2],
    ["high", 3],
  ])("of %s text.verbosity is steered to verbosity %d, unless steer says otherwise", async (verbosity, level) => {
    expect(await create({ text: { verbosity } })).toMatchObject({
      text: { verbosity },
      steer: { effective: { verbosity: level } },
    });
    expect(await create({ text: { verbosity }, steer: { attributes: { verbosity: 0 } } })).toMatchObject({
      steer: { effective: { verbosity: 0 } },
    });
  });

  it("follows text.format", async () => {
    const schema = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] };
    const format = { type: "json_schema", name: "answer", schema, strict: true };
    const { output_text } = await create({ text: { format }, min_tokens: 0, max_output_tokens: 100 });
    expect(JSON.parse(output_text)).toEqual({ ok: expect.any(Boolean) });
  });

  it("has logprobs where they are included, the same streamed and whole", async () => {
    const asked = { include: ["message.output_text.logprobs"], top_logprobs: 2 };
    const { output } = await create(asked);
    const logprobs = Array.from({ length: 5 }, () => ({
      token: "a",
      bytes: [97],
      logprob: expect.any(Number),
      top_logprobs: [{}, {}],
    }));
    expect(output).toMatchObject([{ content: [{ logprobs }] }]);
    const seen = await events(asked);
    const streamed = seen.flatMap((event) => (event.type === "response.output_text.delta" ? event.logprobs : []));
    expect(output).toMatchObject([{ content: [{ logprobs: streamed }] }]);
  });

  it.each([
    ["tools", { tools: [{ type: "web_search" }] }],
    ["previous_response_id", { previous_response_id: "gen_1" }],
    ["background", { background: true }],
    ["reasoning", { reasoning: { effort: "high" } }],
    ["n", { n: 2 }],
    ["steer.fan_out", { steer: { fan_out: [{ verbosity: 0 }, { verbosity: 4 }] } }],
  ])("with %s, which this server cannot honour, is an error that names it", async (param, fields) => {
    const error = await failure(create(fields));
    expect(error).toBeInstanceOf(BadRequestError);
    expect([error.code, error.param]).toEqual(["unsupported_parameter", param]);
  });

  it.each([
    ["input", { input: 7 }],
    ["input.0.content", { input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] }],
    ["input.0.type", { input: [{ type: "function_call", name: "f" }] }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["text.verbosity", { text: { verbosity: "extreme" } }],
    ["max_output_tokens", { max_output_tokens: 0 }],
    ["steer.attributes.humor", { steer: { attributes: { humor: 5 } } }],
  ])("with a wrong %s is an error that names it", async (param, fields) => {
    const error = await failure(create(fields));
    expect([error.status, error.code, error.param]).toEqual([400, "invalid_request", param]);
  });

  it("that the client breaks off frees its row", async () => {
    const body = { ...responseBody(ENDLESS), min_tokens: 0, max_output_tokens: 400, stream: true as const };
    const stream = await stack.client().responses.create(body);
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    stream.controller.abort();
    await expect.poll(stack.runningGenerations).toBe(0);
  });
});

describe("a chat completion, by the openai client", () => {
  const create = (fields?: Fields) => stack.client().chat.completions.create({ ...chatBody(fields), stream: false });

  it("has n choices, logprobs and usage, the same streamed and whole", async () => {
    const asked = { n: 2, logprobs: true, top_logprobs: 1 };
    const whole = await create(asked);
    expect(whole.choices.map(({ message, logprobs }) => [message.content, logprobs?.content?.length])).toEqual([
      ["aaaaa", 5],
      ["aaaaa", 5],
    ]);
    const runner = stack.client().chat.completions.stream({
      ...chatBody(asked),
      stream_options: { include_usage: true },
    });
    const streamed = await runner.finalChatCompletion();
    expect(streamed.choices.map(({ message }) => message.content)).toEqual(["aaaaa", "aaaaa"]);
    expect(streamed.choices.map(({ logprobs }) => logprobs?.content)).toEqual(
      whole.choices.map(({ logprobs }) => logprobs?.content),
    );
    expect(streamed.usage).toEqual(whole.usage);
  });

  it("that is refused for now is asked for again by the client, until there is room", async () => {
    const apiKey = await stack.addKey({ concurrent_generations: 1 });
    const statuses: number[] = [];
    const counting: typeof fetch = async (...args) => {
      const response = await fetch(...args);
      statuses.push(response.status);
      return response;
    };
    const body = { ...chatBody(ENDLESS), min_tokens: 0, max_tokens: 400, stream: true as const };
    const running = await stack.client({ apiKey }).chat.completions.create(body);
    for await (const chunk of running) if (chunk.choices[0]?.delta.content) break;
    const client = stack.client({ apiKey, maxRetries: 5, fetch: counting });
    const waiting = client.chat.completions.create({ ...chatBody(), stream: false });
    await expect.poll(() => statuses).toContain(429);
    running.controller.abort();
    expect((await waiting).choices[0]?.message.content).toBe("aaaaa");
    expect(statuses.at(-1)).toBe(200);
  });

  it("that waiting cannot help is not asked for again", async () => {
    const apiKey = await stack.addKey({ tokens_per_month: 0 });
    let calls = 0;
    const counting: typeof fetch = (...args) => {
      calls += 1;
      return fetch(...args);
    };
    const client = stack.client({ apiKey, maxRetries: 5, fetch: counting });
    for (const ask of [
      () => client.chat.completions.create({ ...chatBody(), stream: false }),
      () => client.responses.create({ ...responseBody(), stream: false }),
    ]) {
      const error = await failure(ask());
      expect(error).toBeInstanceOf(RateLimitError);
      expect(error.code).toBe("budget_exceeded");
    }
    expect(calls).toBe(2);
  });
});

describe("a worker that stops half-way", () => {
  it("is an error to the client, in either dialect", async () => {
    const endless = { ...ENDLESS, min_tokens: 0 };
    const chat = await stack.client().chat.completions.create({
      ...chatBody({ ...endless, max_tokens: 400 }),
      stream: true,
    });
    const response = await stack.client().responses.create({
      ...responseBody({ ...endless, max_output_tokens: 400 }),
      stream: true,
    });
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    let stopped: Promise<void> | undefined;
    const reading = (async () => {
      for await (const event of response) events.push(event);
    })();
    const failed = failure(
      (async () => {
        for await (const chunk of chat) if (chunk.choices[0]?.delta.content) stopped ??= stack.stopWorker();
      })(),
    );
    expect((await failed).code).toBe("worker_unavailable");
    await reading;
    expect(events.at(-1)).toMatchObject({
      type: "response.failed",
      response: {
        status: "failed",
        error: { code: "worker_unavailable", message: expect.stringMatching(/shutting down/) },
      },
    });
    await stopped;
    expect(await failure(stack.client().responses.create({ ...responseBody(), stream: false }))).toMatchObject({
      status: 503,
      code: "worker_unavailable",
    });
  });
});
