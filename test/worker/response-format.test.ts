import { describe, expect, it } from "vitest";
import { z } from "zod";
import { Answer } from "../../gpu-worker/engine/answer.ts";
import { seededRandom } from "../../gpu-worker/engine/random.ts";
import { Grammars, type OpenGrammar } from "../../gpu-worker/server/grammars.ts";
import { samplingSchema } from "../../schema/api/chat.ts";
import type { ResponseFormat } from "../../schema/api/response-format.ts";
import { tinyTokenizer } from "../fixtures/tiny-tokenizer.ts";

const tokenizer = tinyTokenizer();
const vocabulary = { tokens: tokenizer.tokenByteTable(), eosIds: tokenizer.eosIds };
const grammars = new Grammars(tokenizer);

/** What is said by a model that has no idea of anything but ends what it can end, token by token and at random. */
async function babble(
  format: ResponseFormat,
  seed: number,
  maxTokens = 400,
): Promise<{ text: string; finish: string }> {
  const grammar = await grammars.open(format);
  const sampling = samplingSchema.parse({ seed, response_format: format });
  const answer = new Answer({ id: "a", prompt: [3], sampling, maxTokens, mask: grammar.mask }, vocabulary);
  const random = seededRandom(seed);
  const closing = tokenizer.encodeText('"]}');
  let text = "";
  try {
    for (;;) {
      const logits = Float32Array.from({ length: tokenizer.vocabSize }, () => 4 * random());
      for (const token of [...closing, ...tokenizer.eosIds]) logits[token] = 6;
      const { advance } = answer.next(logits);
      text += advance.text;
      if (advance.finish !== null) return { text, finish: advance.finish };
    }
  } finally {
    grammar.close();
  }
}

const refusal = (schema: Record<string, unknown>) =>
  grammars.open({ type: "json_schema", schema }).then(
    () => null,
    (error: unknown) => error,
  );

const SCHEMAS: Record<string, Record<string, unknown>> = {
  person: {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer", minimum: 0, maximum: 120 } },
    required: ["name", "age"],
    additionalProperties: false,
  },
  "optional and nested": {
    type: "object",
    title: "Tags",
    properties: {
      tags: { type: "array", items: { enum: ["red", "green", 3, null] }, minItems: 1, maxItems: 3 },
      note: { anyOf: [{ type: "string", maxLength: 5 }, { type: "null" }] },
      point: { type: "array", prefixItems: [{ type: "number" }, { type: "boolean" }], items: false },
    },
    required: ["tags"],
    additionalProperties: false,
  },
  recursive: {
    $defs: {
      node: {
        type: "object",
        properties: { value: { type: "boolean" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
        required: ["value", "next"],
        additionalProperties: false,
      },
    },
    $ref: "#/$defs/node",
  },
  pattern: { type: "string", pattern: "^[a-c]{2,4}-\\d+(\\.[\\w.-]|é)?$" },
  map: { type: "object", additionalProperties: { type: "array", items: { type: "boolean" } } },
  "length of text": { type: "array", items: { type: "string", minLength: 1, maxLength: 12 }, minItems: 1 },
  constant: { const: 'two "words"' },
};

describe("json_object", () => {
  it("makes of anything a JSON object", async () => {
    for (let seed = 0; seed < 12; seed++) {
      const { text, finish } = await babble({ type: "json_object" }, seed);
      if (finish === "stop") expect(z.record(z.string(), z.unknown()).safeParse(JSON.parse(text)).success).toBe(true);
      else expect(text.trimStart()).toMatch(/^\{/);
    }
  });
});

describe("json_schema", () => {
  it.each(Object.entries(SCHEMAS))("makes of anything an answer to the schema: %s", async (_, schema) => {
    const validator = z.fromJSONSchema(schema);
    let ended = 0;
    for (let seed = 0; seed < 12; seed++) {
      const { text, finish } = await babble({ type: "json_schema", schema }, seed);
      if (finish !== "stop") continue;
      ended++;
      // Zod counts UTF-16 units where JSON Schema counts characters, and four bytes that are none are one to xgrammar.
      if (/[\u{10000}-\u{10ffff}\ufffd]/u.test(text)) continue;
      // JSON knows numbers that no double holds; Zod does not take what JSON.parse makes of them.
      const value = JSON.parse(text, (_, part) => (part === Infinity || part === -Infinity ? 0 : part));
      expect(validator.safeParse(value), text).toMatchObject({ success: true });
    }
    expect(ended).toBeGreaterThan(3);
  });

  it.each([
    ["multipleOf", { type: "integer", multipleOf: 5 }],
    ["uniqueItems", { type: "array", items: { type: "integer" }, uniqueItems: true }],
    ["exclusiveMinimum", { type: "object", properties: { age: { type: "integer", exclusiveMinimum: 5 } } }],
    ["minimum", { type: "object", properties: { share: { type: "number", minimum: 0 } } }],
    ["not", { $defs: { x: { not: { type: "string" } } }, $ref: "#/$defs/x" }],
    ["allOf", { allOf: [{ type: "object" }, { type: "object" }] }],
    ["\\$ref", { type: "array", items: { $ref: "https://example.com/schema" } }],
    ["properties beside anyOf", { anyOf: [{ type: "object" }], properties: { a: { type: "string" } } }],
    ["pattern", { type: "string", pattern: "^a+$", minLength: 3 }],
    ["format", { type: "string", format: "date", minLength: 3 }],
    ["maxLength", { maxLength: 3 }],
    ["required", { type: "object", properties: { a: { type: "string" } }, required: ["b"] }],
    ["additionalProperties", { type: "object", properties: { a: { type: "null" } }, additionalProperties: true }],
  ])("refuses a schema whose %s it could not keep to", async (keyword, schema) => {
    const error = await refusal(schema);
    expect(error).toMatchObject({ code: "invalid_request", param: "response_format" });
    expect(String(error)).toMatch(new RegExp(keyword));
  });

  it.each(["^.+$", "^[^a]$", "\\W", "\\s", "^[ -z]$", "^[A-z]$", '^"$', "^\\\\$", "^a|b$", "^\t$"])(
    "refuses the pattern %s, whose matches are not their own JSON",
    async (pattern) => {
      expect(String(await refusal({ type: "string", pattern }))).toMatch(/pattern/);
    },
  );

  it("says what the compiler said of a schema it cannot compile, again and again", async () => {
    const broken = { type: "object", properties: { a: { type: "sting" } } };
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await refusal(broken);
      expect(error).toMatchObject({ code: "invalid_request", param: "response_format" });
      expect(String(error)).toMatch(/Unsupported type "sting"/);
    }
    expect(String(await refusal({ type: "string", pattern: "(?<=a)b" }))).toMatch(/Lookbehind/);
    // And serves others all the same.
    expect((await babble({ type: "json_schema", schema: { type: "boolean" } }, 1)).text).toMatch(/true|false/);
  });

  it("fails the one answer whose schema allows nothing", async () => {
    await expect(babble({ type: "json_schema", schema: { $ref: "#" } }, 1)).rejects.toThrow("no way to go on");
  });

  it("refuses more formats at once than it keeps, until one is free again", async () => {
    const format = (value: string): ResponseFormat => ({ type: "json_schema", schema: { const: value } });
    const open: OpenGrammar[] = [];
    const fill = async () => {
      for (let index = 0; index < 20; index++) open.push(await grammars.open(format(`held ${index}`)));
    };
    await expect(fill()).rejects.toMatchObject({ code: "queue_full" });
    expect(open.length).toBeGreaterThan(1);
    // One that is in use takes in another answer at any time.
    (await grammars.open(format("held 1"))).close();
    await expect(grammars.open(format("one more"))).rejects.toMatchObject({ code: "queue_full" });
    open[0]?.close();
    (await grammars.open(format("one more"))).close();
    for (const { close } of open.slice(1)) close();
  });
});
