import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  keptLevels,
  keptMessages,
  otherLevels,
  shuffledLevels,
} from "../../../../gpu-worker/steerlm/sft/label-draw.ts";
import { seededDraws } from "../../../../gpu-worker/steerlm/training/seeded-draws.ts";
import { type AttributeLevels, LEVELS } from "../../../../schema/attributes.ts";

const level = fc.constantFrom(...LEVELS);

describe("the labels that an answer is trained under", () => {
  test("are its own: the focus always, others with their share, none at all with theirs", () => {
    const random = seededDraws("kept");
    const levels: AttributeLevels = { quality: 4, humor: 1, verbosity: 2 };
    const dropout = { keep: { quality: 0.5, humor: 0, verbosity: 0 }, all: 0.1 };
    const draws = Array.from({ length: 3000 }, () => keptLevels(levels, "verbosity", dropout, random));
    const some = draws.filter((kept) => Object.keys(kept).length > 0);
    expect(1 - some.length / draws.length).toBeCloseTo(0.1, 1);
    expect(some.every((kept) => kept.verbosity === 2 && kept.humor === undefined)).toBe(true);
    expect(some.filter((kept) => kept.quality === 4).length / some.length).toBeCloseTo(0.5, 1);
  });

  test("of past answers are subsets too, and their words stay", () => {
    const past = {
      role: "assistant" as const,
      content: "Hi",
      steer: { attributes: { quality: 3, humor: 1 } as const },
    };
    const kept = keptMessages([{ role: "user", content: "a" }, past], { keep: { humor: 0 }, all: 0 }, () => 0.5);
    expect(kept).toEqual([
      { role: "user", content: "a" },
      { ...past, steer: { attributes: { quality: 3 } } },
    ]);
  });
});

describe("the labels that an answer is told apart from", () => {
  test("differ in the focus alone, by two or more, and are levels that occur", () => {
    fc.assert(
      fc.property(level, fc.uniqueArray(level), fc.string(), (own, occurring, seed) => {
        const levels: AttributeLevels = { quality: 3, verbosity: own };
        const other = otherLevels(levels, "verbosity", occurring, seededDraws(seed));
        const far = occurring.filter((one) => Math.abs(one - own) >= 2);
        if (far.length === 0) expect(other).toBeNull();
        else {
          expect(other).toEqual({ quality: 3, verbosity: other?.verbosity });
          expect(far).toContain(other?.verbosity);
        }
      }),
    );
  });

  test("are every such level alike", () => {
    const random = seededDraws("others");
    const others = Array.from({ length: 3000 }, () => otherLevels({ verbosity: 1 }, "verbosity", LEVELS, random));
    for (const wanted of [3, 4])
      expect(others.filter((other) => other?.verbosity === wanted).length / 3000).toBeCloseTo(0.5, 1);
  });

  test("are none where the focus was dropped", () => {
    expect(otherLevels({ quality: 3 }, "verbosity", LEVELS, () => 0)).toBeNull();
  });
});

test("labels dealt out anew are the same labels, at other answers", () => {
  const rows = Array.from({ length: 200 }, (_, id) => ({ id, levels: { verbosity: LEVELS[id % 5] ?? 0 } }));
  const shuffled = shuffledLevels(rows, seededDraws("shuffled"));
  const sorted = (of: typeof shuffled) => of.map(({ levels }) => levels.verbosity).sort();
  expect(sorted(shuffled)).toEqual(sorted(rows));
  expect(shuffled.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  const same = shuffled.filter(({ levels }, id) => levels.verbosity === rows[id]?.levels.verbosity).length;
  expect(same / 200).toBeCloseTo(0.2, 1);
  expect(shuffledLevels(rows, seededDraws("shuffled"))).toEqual(shuffled);
});
