import { describe, expect, it } from "vitest";
import { parseChatRequest, samplingOf, withPersona } from "../../../edge/generations/request.ts";
import { UNSUPPORTED_FIELDS } from "../../../schema/api/chat.ts";

const MINIMAL = { model: "m", messages: [{ role: "user", content: "Hi" }] };
const parse = (fields: object) => parseChatRequest({ ...MINIMAL, ...fields });

/** How the model samples by itself. */
const MODEL = { temperature: 0.2, top_p: 0.9, top_k: 0 };

describe("a chat request", () => {
  it.each([
    ["steer.attributes.humor", { steer: { attributes: { humor: 5 } } }],
    ["steer.attributes.humor", { steer: { attributes: { humor: 1.5 } } }],
    ["steer.attributes", { steer: { attributes: { wit: 1 } } }],
    ["steer", { steer: { strenght: 2 } }],
    ["messages", { messages: [] }],
    ["messages.0.role", { messages: [{ role: "tool", content: "x" }] }],
    ["messages.0.content", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }],
    ["temperature", { temperature: 2.1 }],
    ["max_tokens", { max_tokens: 0 }],
    ["max_tokens", { max_tokens: 5, max_completion_tokens: 6 }],
  ])("with a wrong %s is refused, naming it", (param, fields) => {
    expect(() => parse(fields)).toThrow(expect.objectContaining({ code: "invalid_request", param }));
  });

  it.each(Object.keys(UNSUPPORTED_FIELDS))("that asks for %s is refused rather than half answered", (field) => {
    const asks = { [field]: 7 };
    expect(() => parse(asks)).toThrow(expect.objectContaining({ code: "unsupported_parameter", param: field }));
  });

  it("names every unsupported field at once", () => {
    expect(() => parse({ tools: [{}], n: 2 })).toThrow(/tools, n/);
  });

  it("may carry unsupported fields that ask for nothing, and fields nobody knows", () => {
    const harmless = { n: 1, tools: [], frequency_penalty: 0, logit_bias: null, response_format: { type: "text" } };
    expect(parse({ ...harmless, user: "me", toString: 1 }).model).toBe("m");
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
    expect(samplingOf(parse({ max_tokens: 7, stop: "END", top_k: 5, seed: 3 }), MODEL)).toEqual({
      temperature: 0.2,
      top_p: 0.9,
      top_k: 5,
      seed: 3,
      stop: ["END"],
      max_tokens: 7,
    });
    expect(samplingOf(parse({ max_completion_tokens: 9, stop: ["a", "b"] }), MODEL)).toMatchObject({
      stop: ["a", "b"],
      max_tokens: 9,
    });
  });

  it("leaves what it does not say, or says as null, to the model's defaults", () => {
    const defaults = samplingOf(parse({}), MODEL);
    expect(samplingOf(parse({ temperature: null, stop: null, seed: null, max_tokens: null }), MODEL)).toEqual(defaults);
    expect(defaults).toEqual({ ...MODEL, seed: null, stop: [], max_tokens: null });
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
