import { describe, expect, test } from "vitest";
import type { Conversation } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import { Describer } from "../../../../gpu-worker/steerlm/datasets/describe.ts";
import { descriptionText } from "../../../../gpu-worker/steerlm/datasets/description-text.ts";
import type { Labels } from "../../../../gpu-worker/steerlm/rounding.ts";

function described(...conversations: Partial<Conversation>[]) {
  const describer = new Describer();
  for (const [index, one] of conversations.entries()) {
    describer.add({ id: String(index), source: "s", turns: [{ role: "user", text: "Hi" }], ...one });
  }
  return describer.description;
}

const labelled = (labels: Labels, text = "Yes.") => ({
  turns: [
    { role: "user" as const, text },
    { role: "assistant" as const, text, labels },
  ],
});

describe("a description", () => {
  test("counts labels by level and answers without one", () => {
    const { attributes } = described(
      labelled({ quality: 4, humor: 0 }),
      labelled({ quality: 2.5 }),
      labelled({ quality: 0.5 }),
      labelled({}),
    );
    expect(attributes.quality).toEqual({
      labelled: 3,
      missing: 1,
      missing_rate: 0.25,
      mean: 7 / 3,
      histogram: [1, 0, 1, 0, 1],
    });
    expect(attributes.humor).toMatchObject({ labelled: 1, missing_rate: 0.75 });
    expect(attributes.verbosity).toBeUndefined();
  });

  test("correlates labels over the answers that have both", () => {
    const { correlations } = described(
      labelled({ quality: 0, toxicity: 4 }),
      labelled({ quality: 1, toxicity: 3 }),
      labelled({ quality: 2, toxicity: 2, humor: 1 }),
      labelled({ humor: 3 }),
    );
    expect(correlations.attributes).toEqual(["quality", "toxicity", "humor"]);
    expect(correlations.r.map((row) => row.map((r) => (r === null ? null : Math.round(r * 1000) / 1000)))).toEqual([
      [1, -1, null],
      [-1, 1, null],
      [null, null, 1],
    ]);
    expect(correlations.answers[0]).toEqual([3, 3, 1]);
  });

  test("has Pearson's r as by hand", () => {
    // Deviations (−1, 0, 1) and (−4/3, 5/3, −1/3): r = 1 / √(2 · 42/9)
    const { correlations } = described(
      labelled({ quality: 1, humor: 0 }),
      labelled({ quality: 2, humor: 3 }),
      labelled({ quality: 3, humor: 1 }),
    );
    expect(correlations.r[0]?.[1]).toBeCloseTo(1 / Math.sqrt((2 * 42) / 9), 12);
  });

  test("counts a turn once that several threads of a tree share", () => {
    const shared = { role: "assistant" as const, text: "Yes.", id: "m", labels: { quality: 3 } };
    const { attributes, turns, trees } = described(
      { tree: "t", turns: [{ role: "user", text: "Hi", id: "q" }, shared] },
      { tree: "t", turns: [{ role: "user", text: "Hi", id: "q" }, shared, { role: "user", text: "And?", id: "r" }] },
    );
    expect(attributes.quality?.labelled).toBe(1);
    expect(turns).toEqual({ user: 2, assistant: 1, per_conversation: 2.5 });
    expect(trees).toBe(1);
  });

  test("has the words of questions and answers", () => {
    const texts = [1, 2, 3, 4, 100].map((words) => labelled({}, "word ".repeat(words)));
    expect(described(...texts).words.assistant).toEqual({
      mean: 22,
      min: 1,
      p25: 2,
      median: 3,
      p75: 4,
      p95: 4,
      max: 100,
    });
    expect(described({}).words.assistant).toBeUndefined();
  });

  test("reads as tables", () => {
    const text = descriptionText(described(labelled({ quality: 4, humor: 0 }), labelled({ quality: 1, humor: 3 })));
    expect(text).toMatch(/^conversations\s+2$/m);
    expect(text).toMatch(/^quality\s+2\s+0\.0 %\s+2\.50\s+0\s+1\s+0\s+0\s+1$/m);
    expect(text).toMatch(/^humor\s+-1\.00\s+1\.00$/m);
  });

  test("of nothing is no error", () => {
    expect(descriptionText(described())).toMatch(/^conversations\s+0$/m);
  });
});
