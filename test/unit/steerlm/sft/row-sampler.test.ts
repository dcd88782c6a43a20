import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RowSampler } from "../../../../gpu-worker/steerlm/sft/row-sampler.ts";
import { seededDraws } from "../../../../gpu-worker/steerlm/training/seeded-draws.ts";
import { ATTRIBUTES, type AttributeLevels, LEVELS } from "../../../../schema/attributes.ts";

/** Short answers are simple and long ones are not, but for a few; a toxic one is rare. */
const ROWS: AttributeLevels[] = [
  ...Array.from({ length: 90 }, (): AttributeLevels => ({ verbosity: 0, complexity: 0, toxicity: 0 })),
  ...Array.from({ length: 90 }, (): AttributeLevels => ({ verbosity: 4, complexity: 4, toxicity: 0 })),
  ...Array.from({ length: 5 }, (): AttributeLevels => ({ verbosity: 0, complexity: 4, toxicity: 3 })),
  ...Array.from({ length: 5 }, (): AttributeLevels => ({ verbosity: 4, complexity: 0 })),
  {},
];

const DRAWS = 4000;

function drawn(sampler: RowSampler) {
  const random = seededDraws("drawn");
  return Array.from({ length: DRAWS }, () => {
    const { row, focus } = sampler.draw(random);
    return { focus, row, levels: ROWS[row] ?? {} };
  });
}

const shareOf = <T>(of: readonly T[], is: (one: T) => boolean) => of.filter(is).length / of.length;

describe("rows for training, balanced", () => {
  const all = drawn(new RowSampler(ROWS, { balance: true }));

  test("have every attribute in focus alike", () => {
    for (const name of ["verbosity", "complexity", "toxicity"])
      expect(shareOf(all, ({ focus }) => focus === name)).toBeCloseTo(1 / 3, 1);
    expect(all.every(({ focus, levels }) => focus !== null && levels[focus] !== undefined)).toBe(true);
  });

  test("have every level of the focus alike, however rare it is", () => {
    const toxicity = all.filter(({ focus }) => focus === "toxicity");
    expect(shareOf(toxicity, ({ levels }) => levels.toxicity === 3)).toBeCloseTo(1 / 2, 1);
  });

  test("break the tie of length and difficulty: within a level of one, those of the other are alike", () => {
    const verbosity = all.filter(({ focus, levels }) => focus === "verbosity" && levels.verbosity === 0);
    expect(shareOf(verbosity, ({ levels }) => levels.complexity === 4)).toBeCloseTo(1 / 2, 1);
    const complexity = all.filter(({ focus, levels }) => focus === "complexity" && levels.complexity === 0);
    expect(shareOf(complexity, ({ levels }) => levels.verbosity === 4)).toBeCloseTo(1 / 2, 1);
  });

  test("follow the weights that attributes were given, and leave out those without one", () => {
    const sampler = new RowSampler(ROWS, { balance: true, focus: { verbosity: 3, complexity: 1, humor: 9 } });
    const weighted = drawn(sampler);
    expect(shareOf(weighted, ({ focus }) => focus === "verbosity")).toBeCloseTo(3 / 4, 1);
    expect(shareOf(weighted, ({ focus }) => focus === "complexity")).toBeCloseTo(1 / 4, 1);
  });

  test("are refused where no reply has a label in focus", () => {
    expect(() => new RowSampler(ROWS, { balance: true, focus: { humor: 1 } })).toThrow(/--measure.*--balance off/);
    expect(() => new RowSampler([{}], { balance: true })).toThrow("No reply has a label");
  });

  test("always have a level of their focus, whatever the labels are", () => {
    const levels = fc.dictionary(fc.constantFrom(...ATTRIBUTES), fc.constantFrom(...LEVELS));
    fc.assert(
      fc.property(fc.array(levels, { minLength: 1 }), fc.string(), (rows: AttributeLevels[], seed) => {
        fc.pre(rows.some((row) => Object.keys(row).length > 0));
        const { row, focus } = new RowSampler(rows, { balance: true }).draw(seededDraws(seed));
        expect(focus !== null && rows[row]?.[focus] !== undefined).toBe(true);
      }),
    );
  });
});

describe("rows for training, as they come", () => {
  test("are all alike, one without labels too", () => {
    const all = drawn(new RowSampler(ROWS, { balance: false }));
    const last = ROWS.length - 1;
    expect(shareOf(all, ({ levels }) => levels.complexity === 0)).toBeCloseTo(95 / 191, 1);
    expect(all.filter(({ row }) => row === last).every(({ focus }) => focus === null)).toBe(true);
    expect(all.some(({ row }) => row === last)).toBe(true);
    expect(all.every(({ focus, levels }) => focus === null || levels[focus] !== undefined)).toBe(true);
  });
});
