import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { levelBetween, measuredLevels, SMALL_MODEL_SCALE } from "../../../gpu-worker/model/measured-levels.ts";
import { dropAttributes } from "../../../gpu-worker/steerlm/attribute-dropout.ts";
import { levelOf, levelsOf, roundHalfEven } from "../../../gpu-worker/steerlm/rounding.ts";
import { unitHash } from "../../../gpu-worker/steerlm/unit-hash.ts";
import { ATTRIBUTES, type AttributeLevels, LEVELS, measuredScaleSchema } from "../../../schema/attributes.ts";

describe("rounding", () => {
  test.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [3.5, 4],
    [-0.5, 0],
    [2.4999, 2],
    [2.5001, 3],
  ])("%d rounds to %d, as in Python", (value, rounded) => {
    expect(roundHalfEven(value) + 0).toBe(rounded);
  });

  test("never moves by more than a half, and to an even number where it moves by one", () => {
    fc.assert(
      fc.property(fc.integer({ min: -4000, max: 4000 }), (eighths) => {
        const value = eighths / 8;
        const rounded = roundHalfEven(value);
        expect(Number.isInteger(rounded)).toBe(true);
        expect(Math.abs(rounded - value)).toBeLessThanOrEqual(0.5);
        if (Math.abs(rounded - value) === 0.5) expect(Math.abs(rounded % 2)).toBe(0);
      }),
    );
  });

  test("gives the levels of NeMo's preprocessing for a message's votes", () => {
    const votes = { quality: 0.9167, toxicity: 0.375, humor: 0.375, creativity: 0.375 };
    const labels = Object.fromEntries(Object.entries(votes).map(([name, value]) => [name, value * 4]));
    expect(levelsOf(labels)).toEqual({ quality: 4, toxicity: 2, humor: 2, creativity: 2 });
  });

  test("keeps levels that it is given, and what a model predicts beyond the scale on it", () => {
    for (const level of LEVELS) expect(levelOf(level)).toBe(level);
    expect(levelOf(-0.7)).toBe(0);
    expect(levelOf(4.8)).toBe(4);
  });
});

describe("measured levels", () => {
  test("lie between their edges, which belong to the lower level", () => {
    const { verbosity: edges } = SMALL_MODEL_SCALE;
    expect([0, 15, 16, 40, 41, 80, 81, 140, 141, 1e6].map((words) => levelBetween(words, edges))).toEqual([
      0, 0, 1, 1, 2, 2, 3, 3, 4, 4,
    ]);
  });

  test("are read off the text", () => {
    expect(measuredLevels("The cat sat. It was fat.", SMALL_MODEL_SCALE)).toEqual({ verbosity: 0, complexity: 0 });
    expect(measuredLevels("…", SMALL_MODEL_SCALE)).toEqual({ verbosity: 0 });
    const expert = "Heterogeneous catalysis necessitates comprehensive thermodynamic characterisation. ".repeat(10);
    expect(measuredLevels(expert, SMALL_MODEL_SCALE)).toEqual({ verbosity: 2, complexity: 4 });
  });

  test("need edges that rise", () => {
    expect(measuredScaleSchema.safeParse({ ...SMALL_MODEL_SCALE, verbosity: [15, 40, 40, 80] }).success).toBe(false);
    expect(measuredScaleSchema.safeParse(SMALL_MODEL_SCALE).success).toBe(true);
  });
});

const anyLevels = fc.dictionary(
  fc.constantFrom(...ATTRIBUTES),
  fc.constantFrom(...LEVELS),
) satisfies fc.Arbitrary<AttributeLevels>;
const keyed = (key: string) => (name: string) => unitHash(`${key}:${name}`);

describe("dropAttributes", () => {
  test("keeps a subset, unchanged, and the same one for the same draws", () => {
    fc.assert(
      fc.property(anyLevels, fc.string(), (levels, key) => {
        const dropout = { keep: { quality: 0.5, humor: 0.1 }, all: 0.1 };
        const kept = dropAttributes(levels, dropout, keyed(key));
        expect(levels).toMatchObject(kept);
        expect(dropAttributes(levels, dropout, keyed(key))).toEqual(kept);
      }),
    );
  });

  test("decides on one attribute whatever else the answer has", () => {
    fc.assert(
      fc.property(anyLevels, fc.string(), (levels, key) => {
        const dropout = { keep: { verbosity: 0.5 }, all: 0.1 };
        const alone = dropAttributes({ verbosity: 3 }, dropout, keyed(key));
        expect(dropAttributes({ ...levels, verbosity: 3 }, dropout, keyed(key)).verbosity).toBe(alone.verbosity);
      }),
    );
  });

  test("drops as often as it is told", () => {
    const rows = Array.from({ length: 4000 }, (_, row) =>
      dropAttributes(
        { verbosity: 2, quality: 4 },
        { keep: { verbosity: 0.9, quality: 0.5 }, all: 0.1 },
        keyed(`7:${row}`),
      ),
    );
    const share = (of: (levels: AttributeLevels) => boolean) => rows.filter(of).length / rows.length;
    expect(share((levels) => levels.verbosity === 2)).toBeCloseTo(0.9 * 0.9, 1);
    expect(share((levels) => levels.quality === 4)).toBeCloseTo(0.9 * 0.5, 1);
    expect(share((levels) => Object.keys(levels).length === 0)).toBeCloseTo(0.1 + 0.9 * 0.1 * 0.5, 1);
  });

  test("keeps all where nothing is said, and none where all go", () => {
    expect(dropAttributes({ humor: 1 }, { keep: {}, all: 0 }, keyed("a"))).toEqual({ humor: 1 });
    expect(dropAttributes({ humor: 1 }, { keep: {}, all: 1 }, keyed("a"))).toEqual({});
  });
});
