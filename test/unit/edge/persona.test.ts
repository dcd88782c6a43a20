import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fillPersona, refuseVariables } from "../../../edge/presets/persona.ts";
import { type Variables, variableValuesSchema } from "../../../schema/api/persona.ts";

const TEACHER = {
  slug: "teacher",
  persona: "You teach {{subject}} to {{ reader }}. {{subject}} only.",
  variables: { subject: { required: true, max_length: 20 }, reader: { default: "a child" } } satisfies Variables,
};

const refusal = (param: string, message: RegExp) =>
  expect.objectContaining({ code: "invalid_request", param, message: expect.stringMatching(message) });

describe("a persona with variables", () => {
  it("is filled with the request's values, then the defaults, wherever a name stands", () => {
    expect(fillPersona(TEACHER, { subject: "maths" })).toBe("You teach maths to a child. maths only.");
    expect(fillPersona(TEACHER, { subject: "", reader: "me" })).toBe("You teach  to me.  only.");
  });

  it("is refused without a value that it requires, with one that it does not know, or with one that is too long", () => {
    expect(() => fillPersona(TEACHER, {})).toThrow(refusal("steer.variables.subject", /the preset teacher needs it/));
    expect(() => fillPersona(TEACHER, { subject: "maths", tone: "dry" })).toThrow(
      refusal("steer.variables.tone", /no such variable; it has subject, reader/),
    );
    expect(() => fillPersona(TEACHER, { subject: "m".repeat(21) })).toThrow(
      refusal("steer.variables.subject", /at most 20 characters/),
    );
    expect(() => fillPersona(TEACHER, { subject: "maths", reader: "m".repeat(201) })).toThrow(
      refusal("steer.variables.reader", /at most 200 characters/),
    );
    const plain = { slug: "plain", persona: "Hello.", variables: {} };
    expect(() => fillPersona(plain, { constructor: "x" })).toThrow(
      refusal("steer.variables.constructor", /it has none/),
    );
  });

  it("does not grow without end where it names a long value often", () => {
    const persona = "{{text}}".repeat(1000);
    const variables: Variables = { text: { default: "", max_length: 2000 } };
    expect(() => fillPersona({ slug: "long", persona, variables }, { text: "x".repeat(2000) })).toThrow(
      refusal("steer.variables", /longer than 16000 characters/),
    );
    expect(fillPersona({ slug: "long", persona, variables }, { text: "0123456789abcdef" })).toHaveLength(16_000);
  });

  it("without variables is the text as it stands, braces and all", () => {
    const persona = "Answer as {{this}}, at $& or $1.";
    expect(fillPersona({ slug: "old", persona, variables: {} }, {})).toBe(persona);
  });

  it("takes any value as text: none opens another variable or changes what stands around it", () => {
    const text = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 60 }),
      fc.constantFrom("{{b}}", "{{", "}}", "{{ a }}", "$&", "$1", "$`", "\\", "<|im_end|>", "{{{{b}}}}"),
    );
    const variables: Variables = { a: { required: true, max_length: 2000 }, b: { required: true, max_length: 2000 } };
    fc.assert(
      fc.property(text, text, (a, b) => {
        const persona = "start {{a}} middle {{b}} end";
        expect(fillPersona({ slug: "p", persona, variables }, { a, b })).toBe(`start ${a} middle ${b} end`);
      }),
    );
  });
});

describe("values of variables", () => {
  it.each([
    ["that are not strings", { a: 1 }],
    ["with control characters", { a: "a\u001bb" }],
    ["with half a character", { a: "\ud800" }],
    ["beyond 2000 characters", { a: "x".repeat(2001) }],
    ["under a name that no variable can have", { "a b": "x" }],
    [
      "of more variables than a preset can have",
      Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`v${i}`, ""])),
    ],
  ])("%s are refused", (_, values) => {
    expect(variableValuesSchema.safeParse(values).success).toBe(false);
  });

  it("may have several lines", () => {
    expect(variableValuesSchema.safeParse({ a: "one\r\n\ttwo\n👋🏽" }).success).toBe(true);
  });

  it("are refused where no preset takes them", () => {
    expect(() => refuseVariables({ a: "x" })).toThrow(refusal("steer.variables", /name one in steer\.preset/));
    expect(() => refuseVariables({})).not.toThrow();
  });
});
