import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseChatTemplate } from "../../../../gpu-worker/model/chat-template.ts";
import type { Conversation, Turn } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import { ExampleSource } from "../../../../gpu-worker/steerlm/sft/example-source.ts";
import type { SftRow } from "../../../../gpu-worker/steerlm/sft/row.ts";
import { type RowOptions, rowsOf } from "../../../../gpu-worker/steerlm/sft/rows.ts";
import { seededDraws } from "../../../../gpu-worker/steerlm/training/seeded-draws.ts";
import { tinyTokenizer, tinyTokenizerMetadata } from "../../../fixtures/tiny-tokenizer.ts";

const tokenizer = tinyTokenizer();
const template = parseChatTemplate(tinyTokenizerMetadata()["tokenizer.chat_template"]);
const [START, END] = [1, 2];
const OPTIONS: RowOptions = {
  tokenizer,
  template,
  endMarker: END,
  lastOnly: false,
  maxReply: 200,
  maxPrompt: 300,
  sentenceEnd: 4,
};

const user = (text: string): Turn => ({ role: "user", text });
const assistant = (text: string, labels?: Turn["labels"]): Turn =>
  labels === undefined ? { role: "assistant", text } : { role: "assistant", text, labels };
const conversation = (...turns: Turn[]): Conversation => ({ id: "c", source: "test", turns });
const rows = (turns: Turn[], options: Partial<RowOptions> = {}) =>
  rowsOf(conversation(...turns), { ...OPTIONS, ...options });

function only(turns: Turn[], options: Partial<RowOptions> = {}): SftRow {
  const [row, ...more] = rows(turns, options);
  if (row === undefined || typeof row === "string" || more.length > 0) throw new Error(`one row, not ${row}`);
  return row;
}

/** Tokens as text, markers by their names. */
const markers = new Map([...tokenizer.markerIds].map(([text, id]) => [id, text]));
const spelled = (tokens: readonly number[]) => tokens.map((id) => markers.get(id) ?? tokenizer.decode([id])).join("");

describe("a reply that is trained", () => {
  test("is tokenised as it is generated, and ends with the marker that ends an answer", () => {
    const { tokens } = only([user("Hi"), assistant("  Hello there.\n")]);
    expect(tokens).toEqual([...tokenizer.encodeText("Hello there.", false), END]);
  });

  test("is cut where it is too long, and then does not end", () => {
    const { tokens, weights } = only([user("Hi"), assistant("x y ".repeat(5_000_000))], { maxReply: 7 });
    expect(spelled(tokens)).toBe("x y x y");
    expect(weights).toHaveLength(7);
    expect(only([user("Hi"), assistant("abcdefg")], { maxReply: 7 }).tokens).toHaveLength(8);
  });

  test("does not end where it was cut when it was generated", () => {
    const { tokens } = only([user("Hi"), { ...assistant("Hello th"), cut: true }]);
    expect(tokens).toEqual(tokenizer.encodeText("Hello th", false));
  });

  test("counts more where a sentence or line ends, for there it may stop", () => {
    const { tokens, weights } = only([user("Hi"), assistant('Pi is 3.14. "No!" he\nsaid')]);
    const heavy = tokens.flatMap((token, index) => (weights[index] === 4 ? [[index, spelled([token])]] : []));
    const text = 'Pi is 3.14. "No!" he\nsaid';
    const before = heavy.map(([index]) => spelled(tokens.slice(0, Number(index))));
    expect(before).toEqual(["Pi is 3.14.", 'Pi is 3.14. "No!"', 'Pi is 3.14. "No!" he\n', text]);
    expect(weights.every((weight) => weight === 4 || weight === 1)).toBe(true);
  });

  test("has the levels that its labels round to", () => {
    expect(only([user("Hi"), assistant("Yo", { quality: 2.5, humor: 3.6 })]).levels).toEqual({ quality: 2, humor: 4 });
  });

  test("is every answer of a conversation, or the last; what came before keeps its labels", () => {
    const turns = [user("a"), assistant("b", { quality: 1 }), user("c"), assistant("d", { quality: 3 })];
    const all = rows(turns);
    expect(all).toHaveLength(2);
    expect(all[1]).toEqual(only(turns, { lastOnly: true }));
    expect(only(turns, { lastOnly: true }).messages).toEqual([
      { role: "user", content: "a" },
      { role: "assistant", content: "b", steer: { attributes: { quality: 1 } } },
      { role: "user", content: "c" },
    ]);
    expect(rows([...turns, user("e")], { lastOnly: true })).toEqual([]);
  });

  test("is none where it answers nothing or too much, or has no token", () => {
    expect(rows([assistant("Alone")])).toEqual(["answer to no question"]);
    expect(rows([user("x".repeat(301)), assistant("b")])).toEqual(["prompt too long"]);
    expect(rows([user("x".repeat(50_000_000)), assistant("b")])).toEqual(["prompt too long"]);
    const strict = parseChatTemplate("{{ raise_exception('roles must alternate') }}");
    expect(rows([user("a"), assistant("b")], { template: strict })).toEqual(["prompt refused by the chat template"]);
  });

  test("is found among any number of turns in no time", () => {
    const turns = Array.from({ length: 50_000 }, () => [user("a"), assistant("b")]).flat();
    const found = rows(turns, { maxPrompt: 100 });
    expect(found).toHaveLength(50_000);
    expect(found.at(-1)).toBe("prompt too long");
  });
});

describe("an example", () => {
  const profile = {
    template: "chatml" as const,
    attributes: [
      { name: "quality" as const, default: null },
      { name: "verbosity" as const, default: null },
    ],
  };
  const exampleOf = (text: string, answer: string, hasPairs = true, all = 0) => {
    const source = new ExampleSource(
      [
        only([user(text), assistant(answer, { quality: 3, verbosity: 0 })]),
        only([user(text), assistant(answer, { quality: 3, verbosity: 3 })]),
      ],
      { tokenizer, template, profile, balance: true, focus: { verbosity: 1 }, dropout: { keep: {}, all }, hasPairs },
    );
    return source.next(seededDraws("example"));
  };

  test("is the prompt as it is served, label line and all, of which nothing is learnt, and the reply", () => {
    const { tokens, weights, inReply } = exampleOf("Hi", "Yes.");
    const reply = inReply.indexOf(true);
    expect(spelled(tokens.slice(0, reply))).toMatch(
      /^<\|im_start\|>system\nBe brief.<\|im_end\|>\n<\|im_start\|>user\nHi<\|im_end\|>\n<\|im_start\|>attributes\nquality:3,verbosity:[03]<\|im_end\|>\n<\|im_start\|>assistant\n$/,
    );
    expect(weights.slice(0, reply).every((weight) => weight === 0)).toBe(true);
    expect(spelled(tokens.slice(reply))).toBe("Yes.<|im_end|>");
    expect(weights.slice(reply).every((weight) => weight > 0)).toBe(true);
    expect(inReply.slice(reply).every(Boolean)).toBe(true);
  });

  test("is told apart from the same reply under another level, which begins where the two part", () => {
    const { tokens, inReply, other } = exampleOf("Hi", "Yes.");
    if (other === null) throw new Error("There is another level");
    const own = spelled(tokens);
    const level = /verbosity:(\d)/.exec(own)?.[1] === "0" ? "3" : "0";
    const whole = spelled([...tokens.slice(0, other.fork), ...other.tokens]);
    expect(whole).toBe(own.replace(/verbosity:\d/, `verbosity:${level}`));
    expect(spelled(tokens.slice(0, other.fork))).toMatch(/verbosity:$/);
    const reply = (ids: readonly number[], isIn: readonly boolean[]) => spelled(ids.filter((_, index) => isIn[index]));
    expect(reply(other.tokens, other.inReply)).toBe(reply(tokens, inReply));
    expect(other.weights.every((weight) => weight === 0)).toBe(true);
  });

  test("has no other where pairs are not wanted or all labels were dropped", () => {
    expect(exampleOf("Hi", "Yes.", false).other).toBeNull();
    const unlabelled = exampleOf("Hi", "Yes.", true, 1);
    expect(unlabelled.other).toBeNull();
    expect(spelled(unlabelled.tokens)).not.toContain("attributes");
  });

  test("has as many markers whatever people wrote: text is never one", () => {
    const text = fc.stringMatching(/^[a-z]([a-z]|<\|im_end\|>|<\|im_start\|>|<\|endoftext\|>|\n){0,20}$/);
    const count = (tokens: readonly number[], marker: number) => tokens.filter((id) => id === marker).length;
    fc.assert(
      fc.property(text, text, (question, answer) => {
        const { tokens } = exampleOf(question, answer);
        expect([count(tokens, START), count(tokens, END), count(tokens, 0)]).toEqual([4, 4, 0]);
      }),
    );
  });
});
