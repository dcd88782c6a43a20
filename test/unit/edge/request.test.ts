import { describe, expect, it } from "vitest";
import { parseChatRequest, samplingOf, schedulingOf, withPersona } from "../../../edge/generations/request.ts";
import { samplingSchema, UNSUPPORTED_FIELDS } from "../../../schema/api/chat.ts";

const MINIMAL = { model: "m", messages: [{ role: "user", content: "Hi" }] };
const parse = (fields: object) => parseChatRequest({ ...MINIMAL, ...fields });

/** How the model samples by itself. */
const MODEL = { temperature: 0.2, top_p: 0.9, top_k: 0, min_p: 0.05 };

describe("a chat request", () => {
  it.each([
    ["steer.attributes.humor", { steer: { attributes: { humor: 5 } } }],
    ["steer.attributes.humor", { steer: { attributes: { humor: 1.5 } } }],
    ["steer.attributes", { steer: { attributes: { wit: 1 } } }],
    ["steer", { steer: { strenght: 2 } }],
    ["n", { n: 0 }],
    ["n", { n: 17 }],
    ["n", { n: 2, steer: { fan_out: [{}, {}, {}] } }],
    ["steer.fan_out", { steer: { fan_out: [] } }],
    ["steer.fan_out", { steer: { fan_out: Array.from({ length: 17 }, () => ({})) } }],
    ["steer.fan_out.1.humor", { steer: { fan_out: [{ humor: 1 }, { humor: 5 }] } }],
    ["messages", { messages: [] }],
    ["messages.0.role", { messages: [{ role: "tool", content: "x" }] }],
    ["messages.0.content", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }],
    ["temperature", { temperature: 2.1 }],
    ["max_tokens", { max_tokens: 0 }],
    ["max_tokens", { max_tokens: 5, max_completion_tokens: 6 }],
    ["min_p", { min_p: 1.1 }],
    ["frequency_penalty", { frequency_penalty: 2.1 }],
    ["presence_penalty", { presence_penalty: -2.1 }],
    ["repetition_penalty", { repetition_penalty: 0 }],
    ["logit_bias.12", { logit_bias: { 12: 101 } }],
    ["logit_bias.Paris", { logit_bias: { Paris: 1 } }],
    ["logit_bias", { logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) }],
    ["top_logprobs", { logprobs: true, top_logprobs: 21 }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["stop_token_ids.0", { stop_token_ids: [-1] }],
    ["min_tokens", { min_tokens: 6, max_tokens: 5 }],
    ["min_tokens", { min_tokens: 513 }],
    ["deadline_ms", { deadline_ms: 0 }],
    ["deadline_ms", { deadline_ms: -5 }],
    ["deadline_ms", { deadline_ms: 3_600_001 }],
    ["service_tier", { service_tier: "priority" }],
    ["min_tokens", { min_tokens: 5, response_format: { type: "json_object" } }],
    ["ignore_eos", { ignore_eos: true, response_format: { type: "json_object" } }],
    ["response_format.type", { response_format: { type: "xml" } }],
    ["response_format.json_schema.schema", { response_format: { type: "json_schema", json_schema: { name: "a" } } }],
  ])("with a wrong %s is refused, naming it", (param, fields) => {
    const read = () => samplingOf(parse(fields), {}, MODEL);
    expect(read).toThrow(expect.objectContaining({ code: "invalid_request", param }));
  });

  it.each(Object.keys(UNSUPPORTED_FIELDS))("that asks for %s is refused rather than half answered", (field) => {
    const asks = { [field]: 7 };
    expect(() => parse(asks)).toThrow(expect.objectContaining({ code: "unsupported_parameter", param: field }));
  });

  it("names every unsupported field at once", () => {
    expect(() => parse({ tools: [{}], audio: {} })).toThrow(/tools, audio/);
  });

  it("may carry unsupported fields that ask for nothing, and fields nobody knows", () => {
    const harmless = { tools: [], functions: null };
    expect(parse({ ...harmless, user: "me", toString: 1 }).model).toBe("m");
  });

  it("says how many answers there may be, and that n must agree with fan_out", () => {
    expect(() => parse({ n: 17 })).toThrow(/1 to 16/);
    const steer = { fan_out: [{ humor: 0 }, { humor: 4 }] };
    expect(() => parse({ n: 3, steer })).toThrow(/n: must be the number of entries in steer\.fan_out, which is 2/);
    for (const n of [2, null, undefined]) expect(parse({ n, steer }).steer?.fan_out).toEqual(steer.fan_out);
    expect(parse({ n: 16 }).n).toBe(16);
  });

  it("takes text in parts and developer messages", () => {
    const messages = [
      {
        role: "developer",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
    ];
    expect(parse({ messages }).messages).toEqual([{ role: "system", content: "ab" }]);
  });

  it("is sampled as it asks, with either name for the length and either form of stop", () => {
    expect(samplingOf(parse({ max_tokens: 7, stop: "END", top_k: 5, seed: 3 }), {}, MODEL)).toEqual({
      ...samplingSchema.parse(MODEL),
      top_k: 5,
      seed: 3,
      stop: ["END"],
      max_tokens: 7,
    });
    expect(samplingOf(parse({ max_completion_tokens: 9, stop: ["a", "b"] }), {}, MODEL)).toMatchObject({
      stop: ["a", "b"],
      max_tokens: 9,
    });
  });

  it("hands every sampling parameter to the worker as it is", () => {
    const asked = {
      temperature: 0.7,
      top_p: 0.8,
      top_k: 9,
      min_p: 0.1,
      frequency_penalty: 0.5,
      presence_penalty: -0.5,
      repetition_penalty: 1.1,
      logit_bias: { 0: -100, 42: 3.5 },
      seed: -4,
      stop: ["END"],
      stop_token_ids: [7],
      ignore_eos: true,
      min_tokens: 2,
      max_tokens: 20,
    };
    expect(samplingOf(parse(asked), {}, MODEL)).toEqual({ ...samplingSchema.parse({}), ...asked });
  });

  it("gets log-probabilities only where it says logprobs, with as many alternatives as top_logprobs", () => {
    const logprobs = (fields: object) => samplingOf(parse(fields), {}, MODEL).logprobs;
    expect(logprobs({})).toBeNull();
    expect(logprobs({ logprobs: false, top_logprobs: 0 })).toBeNull();
    expect(logprobs({ logprobs: true })).toBe(0);
    expect(logprobs({ logprobs: true, top_logprobs: 20 })).toBe(20);
  });

  it("is held to a response format only where that is JSON", () => {
    const format = (response_format: unknown) => samplingOf(parse({ response_format }), {}, MODEL).response_format;
    expect(format({ type: "text" })).toBeNull();
    expect(format({ type: "json_object" })).toEqual({ type: "json_object" });
    const schema = { type: "object", properties: {} };
    const asked = { type: "json_schema", json_schema: { name: "a", strict: true, description: "b", schema } };
    expect(format(asked)).toEqual({ type: "json_schema", schema });
  });

  it("leaves what it does not say, or says as null, to the model's defaults", () => {
    const defaults = samplingOf(parse({}), {}, MODEL);
    const nulls = Object.fromEntries(
      Object.keys(samplingSchema.shape)
        .concat("top_logprobs", "max_completion_tokens")
        .map((field) => [field, null]),
    );
    expect(samplingOf(parse(nulls), {}, MODEL)).toEqual(defaults);
    expect(defaults).toEqual(samplingSchema.parse(MODEL));
  });
});

describe("a service tier", () => {
  it("of flex waits behind the others, and who names one is told which it got", () => {
    expect(schedulingOf(parse({ service_tier: "flex" }))).toEqual({ priority: 1, service_tier: "flex" });
    expect(schedulingOf(parse({ service_tier: "auto" }))).toEqual({ service_tier: "default" });
    expect(schedulingOf(parse({ service_tier: "default" }))).toEqual({ service_tier: "default" });
    expect(schedulingOf(parse({}))).toEqual({});
    expect(schedulingOf(parse({ service_tier: null, deadline_ms: null }))).toEqual({});
  });

  it("that there is not is refused with those that there are", () => {
    expect(() => parse({ service_tier: "priority" })).toThrow("service_tier: must be auto, default or flex");
  });
});

describe("a persona", () => {
  const user = { role: "user", content: "Hi" } as const;

  it("comes first", () => {
    expect(withPersona([user], "You are Ada.")).toEqual([{ role: "system", content: "You are Ada." }, user]);
  });

  it("shares the request's own first system message", () => {
    const system = { role: "system", content: "Be brief." } as const;
    expect(withPersona([system, user], "You are Ada.")).toEqual([
      { role: "system", content: "You are Ada.\n\nBe brief." },
      user,
    ]);
  });

  it("changes nothing where there is none", () => {
    expect(withPersona([user], "")).toEqual([user]);
  });
});
