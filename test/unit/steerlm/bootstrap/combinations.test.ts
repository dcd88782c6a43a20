import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { labelLine } from "../../../../gpu-worker/model/label-line.ts";
import { Combinations, combinationFor } from "../../../../gpu-worker/steerlm/bootstrap/combinations.ts";
import type { Conversation, Turn } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import type { AttributeLevels, SteeringProfile } from "../../../../schema/attributes.ts";

const PROFILE: SteeringProfile = {
  template: "chatml",
  attributes: [
    { name: "quality", default: 4 },
    { name: "verbosity", default: 2 },
  ],
};

const answered = (...labels: Turn["labels"][]): Conversation => ({
  id: "c",
  source: "test",
  turns: labels.flatMap((one): Turn[] => [
    { role: "user", text: "Why?" },
    { role: "assistant", text: "So.", ...(one && { labels: one }) },
  ]),
});

function linesOf(labels: Turn["labels"][], required: AttributeLevels = {}): string[] {
  const combinations = new Combinations(PROFILE, required);
  combinations.add(answered(...labels));
  return combinations.byLine.map(([line]) => line);
}

describe("combinations of levels", () => {
  test("are those that answers have, each once, of what the adapter was trained on", () => {
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
        const combinations = new Combinations(PROFILE);
        for (const one of ordered) combinations.add(answered(one));
        const seen = combinations.byLine.map(([, combination]) => combination);
        return labelLine(combinationFor(seen, seed, prompt), PROFILE);
      };
      expect(linesOf(labels)).toContain(drawnFrom(labels));
      expect(drawnFrom(labels.toReversed())).toBe(drawnFrom(labels));
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
