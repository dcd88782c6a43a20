import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SMALL_MODEL_SCALE } from "../../../../gpu-worker/model/measured-levels.ts";
import type { Conversation } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import { HeldOutPrompts } from "../../../../gpu-worker/steerlm/datasets/held-out.ts";
import { select } from "../../../../gpu-worker/steerlm/datasets/selection.ts";
import {
  DEFAULT_PARTS,
  DuplicateFinder,
  partOf,
  partOfConversation,
} from "../../../../gpu-worker/steerlm/datasets/split.ts";

const conversation = (prompt: string, more: Partial<Conversation> = {}): Conversation => ({
  id: "a",
  source: "s",
  turns: [
    { role: "user", text: prompt },
    { role: "assistant", text: "Yes." },
  ],
  ...more,
});

describe("a split", () => {
  test("goes by the first byte of the tree's SHA-1 unless told otherwise", () => {
    fc.assert(
      fc.property(fc.string(), (key) => {
        const [byte = 0] = createHash("sha1").update(key).digest();
        expect(partOf(key, DEFAULT_PARTS)).toBe(byte < 205 ? 0 : byte < 230 ? 1 : 2);
      }),
    );
  });

  test("gives each part its share, whatever the seed", () => {
    const parts = [
      { name: "train", weight: 8 },
      { name: "test", weight: 2 },
    ];
    for (const seed of [undefined, "1", "2"]) {
      const trained = Array.from({ length: 5000 }, (_, id) => partOf(`tree ${id}`, parts, seed)).filter(
        (part) => part === 0,
      );
      expect(trained.length / 5000).toBeCloseTo(0.8, 1);
    }
  });

  test("draws other parts with another seed", () => {
    const drawn = (seed: string) => Array.from({ length: 100 }, (_, id) => partOf(`tree ${id}`, DEFAULT_PARTS, seed));
    expect(drawn("1")).not.toEqual(drawn("2"));
    expect(drawn("1")).toEqual(drawn("1"));
  });

  test("never divides a tree, nor the answers to one prompt", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.string(),
        fc.string(),
        fc.option(fc.string(), { nil: undefined }),
        (tree, a, b, seed) => {
          const part = (one: Conversation) => partOfConversation(one, DEFAULT_PARTS, seed);
          expect(part(conversation(a, { tree }))).toBe(part(conversation(b, { tree })));
          expect(part(conversation(a))).toBe(part(conversation(` ${a}\n`, { id: "b" })));
        },
      ),
    );
  });

  test("reports what stands in more than one part, however it is written", () => {
    const finder = new DuplicateFinder();
    finder.add(conversation("What is  tea?"), 0);
    finder.add(conversation("what is tea"), 0);
    finder.add(conversation("What is coffee?"), 1);
    expect(finder.prompts).toEqual([]);
    finder.add(conversation("WHAT IS TEA!"), 2);
    expect(finder.prompts).toEqual([{ parts: [0, 2], text: "What is  tea?" }]);
    expect(finder.conversations).toEqual([{ parts: [0, 2], text: "What is  tea?" }]);
    const [question] = conversation("What is coffee?").turns;
    if (question === undefined) throw new Error("a conversation has turns");
    finder.add({ ...conversation(""), turns: [question, { role: "assistant", text: "Another answer." }] }, 0);
    expect(finder.prompts).toHaveLength(2);
    expect(finder.conversations).toHaveLength(1);
  });
});

describe("a selection", () => {
  test("leaves out conversations that ask a question held out, in any turn and spelling", () => {
    const heldOut = new HeldOutPrompts();
    heldOut.add({
      ...conversation(""),
      turns: [
        { role: "user", text: "Write a poem about tea." },
        { role: "user", text: "Now without the letter “e”." },
      ],
    });
    const kept = (prompt: string) => select(conversation(prompt), { heldOut }).kind === "conversation";
    expect(kept("write a  poem about TEA")).toBe(false);
    expect(kept('Now without the letter "e"')).toBe(false);
    expect(kept("Write a poem about coffee.")).toBe(true);
    expect(kept("…")).toBe(true);
  });

  test("takes one side of a pair where asked, and what is no pair in any case", () => {
    const side = (rank: number): Conversation => ({
      ...conversation("Hi", { pair: "p" }),
      turns: [{ role: "assistant", text: "Yes.", rank }],
    });
    const kept = (one: Conversation, which: "chosen" | "rejected") =>
      select(one, { side: which }).kind === "conversation";
    expect([kept(side(0), "chosen"), kept(side(1), "chosen")]).toEqual([true, false]);
    expect([kept(side(0), "rejected"), kept(side(1), "rejected")]).toEqual([false, true]);
    expect(kept(conversation("Hi"), "rejected")).toBe(true);
  });

  test("measures what nobody judged, or everything", () => {
    const judged: Conversation = {
      ...conversation("Hi"),
      turns: [
        { role: "user", text: "Hi" },
        { role: "assistant", text: "The cat sat.", labels: { verbosity: 3, quality: 1 } },
      ],
    };
    const labels = (which: "missing" | "all", lastOnly = false) => {
      const outcome = select(judged, { measure: { which, scale: SMALL_MODEL_SCALE, lastOnly } });
      return outcome.kind === "conversation" ? outcome.conversation.turns.map((turn) => turn.labels) : [];
    };
    expect(labels("missing")).toEqual([undefined, { verbosity: 3, complexity: 0, quality: 1 }]);
    expect(labels("all")).toEqual([undefined, { verbosity: 0, complexity: 0, quality: 1 }]);
  });

  test("drops labels by seed, conversation and turn, and keeps their fractions", () => {
    const judged: Conversation = {
      ...conversation("Hi"),
      turns: [{ role: "assistant", text: "Yes.", labels: { verbosity: 2.25, quality: 1.5, humor: 0 } }],
    };
    const drawn = (seed: string) => {
      const outcome = select(judged, {
        dropout: { keep: { verbosity: 0.5, quality: 0.5, humor: 0.5 }, all: 0.1, seed },
      });
      return outcome.kind === "conversation" ? outcome.conversation.turns[0]?.labels : null;
    };
    const draws = Array.from({ length: 40 }, (_, seed) => drawn(String(seed)));
    expect(new Set(draws.map((labels) => JSON.stringify(labels))).size).toBeGreaterThan(4);
    for (const labels of draws) expect(judged.turns[0]?.labels).toMatchObject(labels ?? {});
    expect(drawn("7")).toEqual(drawn("7"));
  });
});
