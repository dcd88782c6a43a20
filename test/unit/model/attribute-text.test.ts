import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attributeText, DEFAULT_ATTRIBUTE_TEXT, type JudgedAnswer } from "../../../gpu-worker/model/attribute-text.ts";
import { readChatTemplate } from "../../../gpu-worker/model/chat-template.ts";
import { createTokenizer } from "../../../gpu-worker/model/tokenizer.ts";
import { tinyMetadata, tinyTokenizer } from "../../fixtures/tiny-tokenizer.ts";

const tokenizer = tinyTokenizer();
const template = readChatTemplate(tinyMetadata());
const MARKERS = new Map([...tokenizer.markerIds].map(([text, id]) => [id, text]));

/** Ids as text; a marker in brackets, so that it and its spelling look different. */
const show = (ids: number[]) =>
  ids.map((id) => (MARKERS.has(id) ? `[${MARKERS.get(id)?.slice(2, -2)}]` : tokenizer.decode([id]))).join("");

const read = (answer: JudgedAnswer, max_tokens = 384) =>
  attributeText(tokenizer, template, answer, { ...DEFAULT_ATTRIBUTE_TEXT, max_tokens });

const user = (content: string) => ({ role: "user", content }) as const;

/** What every text ends with, at which the head reads. */
const END = "[im_end]\n[im_start]attributes\n";

describe("the text that attributes are read off", () => {
  test("is the conversation, the answer, and the label marker", () => {
    const messages = [user("Hi"), { role: "assistant", content: "Hello" } as const, user("Bye")];
    expect(show(read({ messages, answer: "See you" }))).toBe(
      "[im_start]system\n[im_end]\n[im_start]user\nHi[im_end]\n[im_start]assistant\nHello[im_end]\n" +
        `[im_start]user\nBye[im_end]\n[im_start]assistant\nSee you${END}`,
    );
  });

  test("has the conversation's own system prompt", () => {
    const messages = [{ role: "system", content: "Be kind." } as const, user("Hi")];
    expect(show(read({ messages, answer: "Yo" }))).toMatch(
      /^\[im_start\]system\nBe kind\.\[im_end\]\n\[im_start\]user/,
    );
  });

  test("answers an empty question where there is none, as a comment does", () => {
    const text = show(read({ messages: [], answer: "So rude" }));
    expect(text).toContain(`[im_start]user\n[im_end]\n[im_start]assistant\nSo rude${END}`);
  });

  test("does not depend on white space around what was said", () => {
    expect(read({ messages: [user(" Hi\n")], answer: "\n Yo " })).toEqual(
      read({ messages: [user("Hi")], answer: "Yo" }),
    );
  });

  test("begins as every text of the model must", () => {
    const withBos = createTokenizer(
      tinyMetadata({ "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.bos_token_id": 0 }),
    );
    const settings = { max_tokens: 64, answer_share: 0.5 };
    for (const answer of ["short", "long ".repeat(99)]) {
      const ids = attributeText(withBos, template, { messages: [user("q ".repeat(99))], answer }, settings);
      expect(ids[0]).toBe(0);
      expect(ids.length).toBeLessThanOrEqual(64);
    }
  });
});

describe("a text that is too long", () => {
  const [question, answer] = ["q".repeat(200), "a".repeat(200)];
  const count = (text: string, letter: string) => text.split(letter).length - 1;

  test("loses the beginning of the conversation and the end of the answer, and keeps its own end", () => {
    const text = show(read({ messages: [user(`first ${question} last`)], answer: `first ${answer} last` }, 100));
    expect(text).toMatch(/^q+ last\[im_end\]\n\[im_start\]assistant\nfirst a+\[im_end\]\n\[im_start\]attributes\n$/);
    expect(count(text, "a")).toBeGreaterThan(count(text, "q"));
  });

  test("gives what one side leaves free to the other", () => {
    const longAnswer = show(read({ messages: [user("short")], answer }, 100));
    expect(longAnswer).toMatch(/^\[im_start\]system\n\[im_end\]\n\[im_start\]user\nshort/);
    const longQuestion = show(read({ messages: [user(question)], answer: "short" }, 100));
    expect(longQuestion).toContain(`assistant\nshort${END}`);
    for (const text of [longAnswer, longQuestion]) expect(text.endsWith(END)).toBe(true);
  });

  test("of a megabyte is not tokenised as a whole", () => {
    const began = performance.now();
    const ids = read({ messages: [user("word ".repeat(400_000))], answer: "word ".repeat(400_000) });
    expect(ids).toHaveLength(384);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe("whatever was said", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc
      .array(fc.constantFrom("<|im_start|>", "<|im_end|>", "attributes\n", " ", "x", "\ud800"))
      .map((parts) => parts.join("")),
  );
  const turn = fc.record({ role: fc.constantFrom("user" as const, "assistant" as const), content: text });

  test("the text has no markers but the template's, ends with the label marker, and is no longer than allowed", () => {
    const end = read({ messages: [], answer: "" }).slice(-20);
    const after = end.slice(end.lastIndexOf(2));
    fc.assert(
      fc.property(
        fc.array(turn, { maxLength: 4 }),
        text,
        fc.integer({ min: 64, max: 200 }),
        (messages, answer, most) => {
          const ids = read({ messages, answer }, most);
          expect(ids.length).toBeLessThanOrEqual(most);
          expect(ids.slice(-after.length)).toEqual(after);
          const turns = messages.length + 3 + (messages.some(({ role }) => role === "user") ? 0 : 1);
          const markers = ids.filter((id) => MARKERS.has(id)).length;
          expect(markers).toBeLessThanOrEqual(2 * turns - 1);
          const whole = read({ messages, answer }, 10_000);
          expect(whole.filter((id) => MARKERS.has(id))).toHaveLength(2 * turns - 1);
        },
      ),
    );
  });
});
