import { expect, test } from "vitest";
import { asAsked } from "../../../../gpu-worker/steerlm/bootstrap/as-asked.ts";
import type { Asked, Reply } from "../../../../gpu-worker/steerlm/bootstrap/asked-reply.ts";
import type { Ask } from "../../../../gpu-worker/steerlm/bootstrap/asks.ts";
import { bootstrapped } from "../../../../gpu-worker/steerlm/bootstrap/bootstrapped.ts";
import { keptReplies } from "../../../../gpu-worker/steerlm/bootstrap/kept-replies.ts";
import { Obedience } from "../../../../gpu-worker/steerlm/bootstrap/obedience.ts";
import type { AttributeLevels } from "../../../../schema/attributes.ts";

const ask = (levels: AttributeLevels): Ask => ({ levels, strength: 1, against: {} });
const ASKED: Asked[] = [
  { question: { id: "a", text: "Why?", tree: "t1" }, asks: [ask({ quality: 4, verbosity: 0 })] },
  { question: { id: "b", text: "Who?" }, asks: [ask({ quality: 3, verbosity: 4 })] },
];
const READ = { quality: 2.5, verbosity: 1 };
const reply = (prompt: string, sample: number, text: string, finish: Reply["finish"] = "stop"): Reply => ({
  ...{ prompt, sample, text, finish },
  tokens: 3,
});

test("an empty reply and one that says the same again are left out and counted", () => {
  const generated = [
    reply("b", 1, "I."),
    reply("a", 0, "So."),
    reply("a", 1, " So.\n"),
    reply("b", 0, "  "),
    reply("a", 2, "Thus."),
    reply("b", 2, "So."),
  ];
  const { kept, empty, repeated } = keptReplies(ASKED, { replies: 3, generated, method: "label_line" });
  expect(kept.map((one) => one.reply.text)).toEqual(["So.", "Thus.", "I.", "So."]);
  expect({ empty, repeated }).toEqual({ empty: 1, repeated: 1 });
});

test("of replies that are there, those that are asked for now are taken", () => {
  const generated = [reply("a", 0, "So."), reply("a", 1, "Thus."), reply("b", 0, "I."), reply("c", 0, "No.")];
  expect(
    keptReplies(ASKED.slice(0, 1), { replies: 1, generated, method: "label_line" }).kept.map((one) => one.reply.text),
  ).toEqual(["So."]);
});

test("replies to a question take its label lines in turn, so that more replies ask for what fewer asked for first", () => {
  const [first, second] = [ask({ humor: 0 }), ask({ humor: 4 })];
  const asked: Asked[] = [{ question: { id: "a", text: "Why?" }, asks: [first, second] }];
  const generated = ["So.", "Ha.", "Thus.", "Ho."].map((text, sample) => reply("a", sample, text));
  const wanted = (replies: number) =>
    keptReplies(asked, { replies, generated, method: "label_line" }).kept.map(({ levels }) => levels.humor);
  expect(wanted(1)).toEqual([0, 4]);
  expect(wanted(2)).toEqual([0, 4, 0, 4]);
});

test("a reply that recites the words it was told, or those it was steered away from, is left out and counted", () => {
  const [levels, against]: AttributeLevels[] = [{ complexity: 0 }, { complexity: 4 }];
  const asked: Asked[] = [
    { question: { id: "a", text: "Why?" }, asks: [{ levels: levels ?? {}, strength: 2, against: against ?? {} }] },
  ];
  const texts = [
    "With words a child knows: so.",
    "This is expert vocabulary.",
    "Vocabulary-rich!",
    "Even a child likes the words.",
    "So we use it.",
  ];
  const generated = texts.map((text, sample) => reply("a", sample, text));
  const { kept, echoes } = keptReplies(asked, { replies: 5, generated, method: "words" });
  expect(kept.map((one) => one.reply.text)).toEqual(texts.slice(3));
  expect(echoes).toBe(3);
  expect(keptReplies(asked, { replies: 5, generated, method: "label_line" }).kept).toHaveLength(5);
});

test("a reply is labelled by what it was read to be, and keeps what was asked for and whether it was cut", () => {
  const { kept } = keptReplies(ASKED, {
    replies: 1,
    generated: [reply("a", 0, "So", "length"), reply("b", 0, "I.")],
    method: "label_line",
  });
  const [first, second] = kept.map((one) => bootstrapped({ one, labels: READ, read: READ }));
  expect(first).toEqual({
    ...{ id: "a/0", source: "bootstrap", tree: "t1" },
    turns: [
      { role: "user", text: "Why?" },
      {
        ...{ role: "assistant", text: "So", cut: true, requested: { quality: 4, verbosity: 0 } },
        ...{ labels: { quality: 2.5, verbosity: 1 }, predicted: { quality: 2.5, verbosity: 1 } },
      },
    ],
  });
  expect(second).not.toHaveProperty("tree");
  expect(second?.turns[1]).not.toHaveProperty("cut");
});

test("how often replies became what was asked for is counted level by level", () => {
  const obedience = new Obedience();
  obedience.add({ quality: 4, verbosity: 1 }, { quality: 3.6, verbosity: 1 });
  obedience.add({ quality: 4, verbosity: 2 }, { quality: 3, verbosity: 0 });
  obedience.add({ quality: 4, humor: 1 }, { quality: 1 });
  expect(obedience.table.split("\n").map((line) => line.trim().split(/ {2,}/))).toEqual([
    ["asked for", "replies", "became", "as asked", "within 1"],
    ["quality 4", "3", "2.53", "33 %", "67 %"],
    ["verbosity 1", "1", "1.00", "100 %", "100 %"],
    ["verbosity 2", "1", "0.00", "0 %", "0 %"],
    ["All that was asked for at once: 33 % of 3 replies."],
  ]);
});

test("where asked for, a reply is labelled as asked, unless it was read to be the opposite beside others to its question", () => {
  const levels = [0, 1, 2, 3, 4, 4] as const;
  const humor = [1.1, 1.6, 1.9, 1.2, 1.5, 1.4];
  const replies = levels.map((level, sample) => ({
    one: { question: { id: "a", text: "Why?" }, levels: { humor: level }, reply: reply("a", sample, `${sample}`) },
    read: { humor: humor[sample] ?? 0, verbosity: 3 },
  }));
  // The median is 1.45: 1.6 is too much for level 1, 1.2 and 1.4 are too little for 3 and 4.
  const labelled = asAsked(replies, ["humor"]);
  expect(labelled.map(({ labels }) => labels)).toEqual([0, 2, 4].map((level) => ({ humor: level, verbosity: 3 })));
  expect(labelled.map(({ read }) => read.humor)).toEqual([1.1, 1.9, 1.5]);
  expect(asAsked(replies, []).map(({ labels }) => labels.humor)).toEqual(humor);
});
