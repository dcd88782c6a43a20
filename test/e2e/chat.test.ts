import type OpenAI from "openai";
import { APIError, AuthenticationError, BadRequestError, ConflictError, NotFoundError } from "openai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { createKey } from "../../edge/auth/key.ts";
import { ATTRIBUTES } from "../../schema/attributes.ts";
import { effectiveSteeringSchema } from "../../schema/steering.ts";
import { runningStack } from "./running-stack.ts";

const stack = runningStack();

type ChatBody = OpenAI.ChatCompletionCreateParamsNonStreaming & { steer?: object };

/** Attune's addition to OpenAI's answers. */
const steeredSchema = z.object({ steer: effectiveSteeringSchema });

/** The publisher's model, as it is without the adapter that ships. */
const PLAIN = "smollm2-135m-base";

const FRANCE: ChatBody = {
  model: "smollm2-135m",
  messages: [{ role: "user", content: "What is the capital of France?" }],
  temperature: 0,
};
const BARE: ChatBody = { ...FRANCE, model: PLAIN };

async function create(body: ChatBody) {
  const answer = await stack.client().chat.completions.create(body);
  return { ...answer, ...steeredSchema.parse(answer) };
}

async function stream(body: ChatBody): Promise<OpenAI.ChatCompletionChunk[]> {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  const options = { stream: true as const, stream_options: { include_usage: true } };
  for await (const chunk of await stack.client().chat.completions.create({ ...body, ...options })) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks: OpenAI.ChatCompletionChunk[]) =>
  chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");

describe("the openai client", () => {
  it("gets an answer of the real model with exact usage", async () => {
    const { choices, usage, model, steer } = await create(BARE);
    expect(choices[0]?.message.content).toContain("Paris");
    expect(choices[0]?.finish_reason).toBe("stop");
    expect(model).toBe(PLAIN);
    // 37 tokens by llama.cpp's count of the same conversation (test/fixtures/reference-tokens.json).
    expect(usage?.prompt_tokens).toBe(37);
    expect(usage?.total_tokens).toBe(37 + (usage?.completion_tokens ?? 0));
    expect(steer).toMatchObject({ effective: {}, method: "none" });
  });

  it("streams the same answer in many chunks", async () => {
    const chunks = await stream(FRANCE);
    const whole = await create(FRANCE);
    expect(textOf(chunks)).toBe(whole.choices[0]?.message.content);
    expect(chunks.length).toBeGreaterThan(5);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    const finish = chunks.find(({ choices }) => choices[0]?.finish_reason);
    expect(finish).toMatchObject({ choices: [{ finish_reason: "stop" }], steer: { method: "label_line" } });
  });

  const askFor = (verbosity: number, model = FRANCE.model, attributes = {}) =>
    create({
      ...{ ...FRANCE, model, max_completion_tokens: 300 },
      messages: [{ role: "user", content: "Explain why the sky is blue." }],
      steer: { attributes: { verbosity, ...attributes } },
    });

  it("steers the model that ships by what it was trained on, level by level", async () => {
    const answers = [];
    for (const verbosity of [0, 1, 2, 3, 4]) answers.push(await askFor(verbosity));
    expect(answers[0]?.steer).toMatchObject({ effective: { verbosity: 0 }, method: "label_line", note: null });
    expect(answers[0]?.steer.guidance).toEqual({ strength: 1.5, against: { complexity: 2, verbosity: 4 } });
    const lengths = answers.map(({ usage }) => usage?.completion_tokens ?? 0);
    expect(lengths[0]).toBeLessThan(30);
    expect(lengths[4]).toBeGreaterThan(100);
    expect(lengths[2]).toBeGreaterThan(lengths[0] ?? 0);
    expect(lengths[2]).toBeLessThan(lengths[4] ?? 0);
  });

  it("hears that the plain model is steered in words, and by what", async () => {
    const short = await askFor(0, PLAIN, { humor: null });
    const long = await askFor(4, PLAIN);
    expect(short.steer).toMatchObject({ effective: { verbosity: 0 }, method: "words", clamped: [] });
    expect(short.steer.note).toContain("not trained");
    expect(long.steer.effective).toEqual({ verbosity: 4 });
    expect(short.usage?.completion_tokens ?? 0).toBeLessThan(long.usage?.completion_tokens ?? 0);
  });

  it("steers more strongly where that is asked for", async () => {
    const ask = (steer: object) =>
      create({ ...BARE, max_tokens: 40, steer: { attributes: { verbosity: 0 }, ...steer } });
    const strong = await ask({ strength: 2 });
    expect(strong.steer.guidance).toEqual({ strength: 2, against: {} });
    const [plain, against] = [await ask({}), await ask({ strength: 2, against: { verbosity: 4 } })];
    expect(plain.steer.guidance).toBeUndefined();
    // The prompt that an answer is guided away from is not charged.
    expect(strong.usage?.prompt_tokens).toBe(plain.usage?.prompt_tokens);
    expect(new Set([strong, plain, against].map(({ choices }) => choices[0]?.message.content)).size).toBeGreaterThan(1);
  });

  it("obeys max_tokens, stop strings and the seed", async () => {
    const counting: ChatBody = { ...FRANCE, messages: [{ role: "user", content: "Count from 1 to 20." }] };
    const cut = await create({ ...counting, max_tokens: 7 });
    expect(cut.choices[0]?.finish_reason).toBe("length");
    expect(cut.usage?.completion_tokens).toBe(7);

    const whole = (await create({ ...counting, max_tokens: 60 })).choices[0]?.message.content ?? "";
    const stop = whole.slice(9, 12);
    const stopped = await create({ ...counting, max_tokens: 60, stop });
    expect(stopped.choices[0]?.message.content).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(stopped.choices[0]?.finish_reason).toBe("stop");

    const sample = async (seed: number) =>
      (await create({ ...counting, temperature: 1, seed, max_tokens: 30 })).choices[0]?.message.content;
    expect(await sample(1)).toBe(await sample(1));
    expect(await sample(1)).not.toBe(await sample(2));
  });

  it("gets log-probabilities in OpenAI's form, with and without streaming", async () => {
    const asked: ChatBody = { ...FRANCE, logprobs: true, top_logprobs: 3 };
    const content = (await create(asked)).choices[0]?.logprobs?.content ?? [];
    expect(content.map(({ token }) => token).join("")).toContain("Paris");
    for (const { token, logprob, bytes, top_logprobs } of content) {
      expect(Buffer.from(bytes ?? []).toString()).toBe(token);
      // At temperature 0 each token is the most likely one.
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
    }
    const chunks = await stream(asked);
    expect(chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? [])).toEqual(content);
  });

  it("keeps a model from a word with logit_bias, and to a length with ignore_eos and min_tokens", async () => {
    const content = (await create({ ...BARE, logprobs: true })).choices[0]?.message.content ?? "";
    expect(content).toContain(" Paris");
    // The token of " Paris" in SmolLM2's vocabulary.
    const biased = await create({ ...BARE, logit_bias: { "7042": -100 } });
    expect(biased.choices[0]?.message.content).not.toContain(" Paris");

    const length = async (options: object) => {
      const { choices, usage } = await create({ ...BARE, max_tokens: 40, ...options });
      return [usage?.completion_tokens, choices[0]?.finish_reason];
    };
    expect(await length({ ignore_eos: true })).toEqual([40, "length"]);
    expect((await length({ min_tokens: 20 }))[0]).toBeGreaterThan(20);
    expect((await length({}))[0]).toBeLessThan(20);
  });

  it("gets JSON of the schema it asks for, with and without streaming", async () => {
    const schema = z.object({ capital: z.string(), country: z.string(), rivers: z.array(z.string()).max(2) });
    const json_schema = { name: "city", schema: z.toJSONSchema(schema), strict: true };
    const asked: ChatBody = { ...FRANCE, response_format: { type: "json_schema", json_schema }, max_tokens: 200 };
    const [choice] = (await create(asked)).choices;
    expect(choice?.finish_reason).toBe("stop");
    schema.parse(JSON.parse(choice?.message.content ?? ""));
    expect(textOf(await stream(asked))).toBe(choice?.message.content);

    const object = await create({ ...FRANCE, response_format: { type: "json_object" }, max_tokens: 200 });
    expect(object.choices[0]?.message.content?.trimStart()).toMatch(/^\{/);
  });

  it("lists the models and the attributes", async () => {
    const { data } = await stack.client().models.list();
    expect(data.map(({ id }) => id)).toEqual(["smollm2-135m", PLAIN]);
    expect((await stack.client().models.retrieve("smollm2-135m")).object).toBe("model");
    const attributes = await (await stack.send("GET", "/v1/attributes")).json();
    const names = z.object({
      data: z.array(z.object({ name: z.string(), minimum: z.literal(0), maximum: z.literal(4) })),
    });
    expect(names.parse(attributes).data.map(({ name }) => name)).toEqual(ATTRIBUTES);
  });
});

describe("a preset", () => {
  it("lends its persona and levels, and keeps requests within its bounds", async () => {
    const preset = {
      slug: "pirate",
      persona: "You are Captain Redbeard, a pirate. You always mention your ship, the Salty Duck.",
      attributes: { verbosity: 1 },
      bounds: { humor: { max: 2 }, toxicity: { locked: 0 } },
    };
    const created = await stack.send("POST", "/v1/presets", preset);
    expect([created.status, await created.json()]).toMatchObject([201, { ...preset, object: "preset", version: 1 }]);

    const question: ChatBody = { ...FRANCE, messages: [{ role: "user", content: "Who are you?" }] };
    const answer = await create({
      ...question,
      model: "smollm2-135m@pirate",
      steer: { attributes: { humor: 4, toxicity: 3 } },
    });
    expect(answer.steer).toMatchObject({
      effective: { toxicity: 0, humor: 2, verbosity: 1 },
      preset: { slug: "pirate", version: 1 },
      clamped: [
        { attribute: "toxicity", requested: 3, applied: 0, reason: "preset_locked" },
        { attribute: "humor", requested: 4, applied: 2, reason: "preset_max" },
      ],
    });
    const plain = await create(question);
    expect(answer.usage?.prompt_tokens ?? 0).toBeGreaterThan(plain.usage?.prompt_tokens ?? 0);
    expect(answer.choices[0]?.message.content).not.toBe(plain.choices[0]?.message.content);
  });

  it("can be changed, listed and deleted", async () => {
    await stack.send("POST", "/v1/presets", { slug: "brief", attributes: { verbosity: 0 } });
    const updated = await stack.send("PUT", "/v1/presets/brief", { attributes: { verbosity: 1 } });
    expect(await updated.json()).toMatchObject({ slug: "brief", version: 2, attributes: { verbosity: 1 } });
    const list = (await (await stack.send("GET", "/v1/presets")).json()) as { data: { slug: string }[] };
    expect(list.data.map(({ slug }) => slug)).toContain("brief");
    const used = await create({ ...FRANCE, steer: { preset: "brief" } });
    expect(used.steer).toMatchObject({ effective: { verbosity: 1 }, preset: { slug: "brief", version: 2 } });
    expect((await stack.send("DELETE", "/v1/presets/brief")).status).toBe(200);
    await expect(create({ ...FRANCE, model: "smollm2-135m@brief" })).rejects.toThrow(NotFoundError);
  });

  it("is never overwritten by creating it again", async () => {
    await stack.send("POST", "/v1/presets", { slug: "once" });
    const again = await stack.send("POST", "/v1/presets", { slug: "once" });
    expect([again.status, await again.json()]).toMatchObject([409, { error: { code: "conflict", param: "slug" } }]);
    const error = await stack
      .client()
      .post("/presets", { body: { slug: "once" } })
      .then(
        () => null,
        (thrown: unknown) => thrown,
      );
    expect(error).toBeInstanceOf(ConflictError);
  });
});

describe("an error reaches the client as OpenAI's would", () => {
  const failure = async (work: Promise<unknown>): Promise<APIError> => {
    const thrown = await work.then(
      () => null,
      (error: unknown) => error,
    );
    if (thrown instanceof APIError) return thrown;
    throw new Error(`Expected an API error, got ${thrown}`);
  };

  it("for a wrong key", async () => {
    const ask = (key: string) => failure(stack.client(key).models.list());
    for (const key of [createKey("sk_live"), `${stack.current().key}x`, "sk_live_nonsense"]) {
      const error = await ask(key);
      expect(error).toBeInstanceOf(AuthenticationError);
      expect(error.code).toBe("invalid_api_key");
      expect(error.message).not.toContain(key);
    }
  });

  it("for an unknown model", async () => {
    const error = await failure(create({ ...FRANCE, model: "gpt-4o" }));
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error.code).toBe("model_not_found");
    expect(error.message).toContain("smollm2-135m");
  });

  it("for an attribute out of range, naming it", async () => {
    for (const level of [5, -1, 1.5, "3"]) {
      const error = await failure(create({ ...FRANCE, steer: { attributes: { humor: level } } }));
      expect(error).toBeInstanceOf(BadRequestError);
      expect(error.param).toBe("steer.attributes.humor");
      expect(error.message).toContain("0 to 4");
    }
    expect((await failure(create({ ...FRANCE, steer: { attributes: { wit: 3 } } }))).status).toBe(400);
  });

  it("for what this server cannot do", async () => {
    const error = await failure(create({ ...FRANCE, modalities: ["audio"] }));
    expect([error.status, error.code, error.param]).toEqual([400, "unsupported_parameter", "modalities"]);
  });

  it("for a schema that no answer could be held to", async () => {
    const json_schema = { name: "odd", schema: { type: "integer", multipleOf: 5 } };
    const error = await failure(create({ ...FRANCE, response_format: { type: "json_schema", json_schema } }));
    expect([error.status, error.code, error.param]).toEqual([400, "invalid_request", "response_format"]);
    expect(error.message).toContain("multipleOf");
  });

  it("for a conversation that exceeds the context", async () => {
    const long = "tide ".repeat(9000);
    const error = await failure(create({ ...FRANCE, messages: [{ role: "user", content: long }] }));
    expect([error.status, error.code]).toEqual([400, "context_length_exceeded"]);
    expect(error.message).toContain("8192");
  });

  it("for bad JSON", async () => {
    const response = await stack.send("POST", "/v1/chat/completions", '{"model":');
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "invalid_request" } }]);
  });
});
