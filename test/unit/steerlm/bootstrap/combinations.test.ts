import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Combinations, combinationFor } from "../../../../gpu-worker/steerlm/bootstrap/combinations.ts";
import type { Conversation, Turn } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import type { AttributeLevels } from "../../../../schema/attributes.ts";

const NAMES = ["quality", "verbosity"] as const;

const answered = (...labels: Turn["labels"][]): Conversation => ({
  id: "c",
  source: "test",
  turns: labels.flatMap((one): Turn[] => [
    { role: "user", text: "Why?" },
    { role: "assistant", text: "So.", ...(one && { labels: one }) },
  ]),
});

function linesOf(labels: Turn["labels"][], required: AttributeLevels = {}): string[] {
  const combinations = new Combinations(NAMES, required);
  combinations.add(answered(...labels));
  return combinations.byLine.map(([line]) => line);
}

describe("combinations of levels", () => {
  test("are those that answers have, each once, of what can be asked for", () => {
    const labels = [
      { quality: 3.6, verbosity: 1 },
      { quality: 4, verbosity: 1.4, toxicity: 2 },
      { verbosity: 0 },
      { humor: 2 },
      undefined,
    ];
    expect(linesOf(labels)).toEqual(["quality:4,verbosity:1", "verbosity:0"]);
  });

  test("can be required to have a level", () => {
    const labels = [{ quality: 4, verbosity: 1 }, { quality: 3, verbosity: 1 }, { verbosity: 1 }];
    expect(linesOf(labels, { quality: 4 })).toEqual(["quality:4,verbosity:1"]);
  });
});

const levels = fc.record({ quality: fc.integer({ min: 0, max: 4 }), verbosity: fc.integer({ min: 0, max: 4 }) });

test("what is drawn was seen, and depends on the seed and the prompt, not on the order of the data", () => {
  fc.assert(
    fc.property(fc.array(levels, { minLength: 1 }), fc.string(), fc.string(), (labels, seed, prompt) => {
      const drawnFrom = (ordered: typeof labels) => {
        const combinations = new Combinations(NAMES);
        for (const one of ordered) combinations.add(answered(one));
        return combinationFor(
          combinations.byLine.map(([, combination]) => combination),
          seed,
          prompt,
        );
      };
      expect(labels).toContainEqual(drawnFrom(labels));
      expect(drawnFrom(labels.toReversed())).toEqual(drawnFrom(labels));
    }),
  );
});

test("every combination is drawn about equally often", () => {
  const seen: AttributeLevels[] = [{ verbosity: 0 }, { verbosity: 1 }, { verbosity: 2 }, { verbosity: 3 }];
  const counts = new Map<AttributeLevels, number>();
  for (let prompt = 0; prompt < 4000; prompt++) {
    const drawn = combinationFor(seen, "0", String(prompt));
    counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
  }
  for (const one of seen) expect(Math.abs((counts.get(one) ?? 0) - 1000)).toBeLessThan(120);
});
