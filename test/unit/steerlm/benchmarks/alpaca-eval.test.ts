import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { controlLength, winRate } from "../../../../gpu-worker/steerlm/benchmarks/alpaca-eval.ts";

const comparison = z.object({
  index: z.int(),
  preference: z.number(),
  baselineLength: z.int(),
  modelLength: z.int(),
});
const gamed = z.object({
  index: z.int(),
  preference: z.number(),
  lengthDifference: z.number(),
  difficulty: z.number(),
});
/** Fitted by scikit-learn; test/bench/fixtures/write_length_control.py writes them. */
const CASES = z
  .array(
    z.object({
      comparisons: z.array(comparison),
      gamed: z.array(gamed),
      strength: z.number(),
      coefficients: z.tuple([z.number(), z.number(), z.number()]),
      lengthControlled: z.number(),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL("../../../fixtures/length-control.json", import.meta.url), "utf8")));

describe("AlpacaEval's win rate", () => {
  const at = (preference: number) => ({ index: 0, preference, baselineLength: 10, modelLength: 10 });

  it("is the mean preference, and by outcomes wins and half of the draws", () => {
    const { win_rate, discrete_win_rate, standard_error } = winRate([at(0.9), at(0.8), at(0.5), at(0.2)]);
    expect(win_rate).toBeCloseTo(60, 10);
    expect(discrete_win_rate).toBe(62.5);
    // Sample deviation √(0.3² + 0.2² + 0.1² + 0.4²)/√3 = √0.1, divided by √4.
    expect(standard_error).toBeCloseTo(100 * Math.sqrt(0.1) * 0.5, 10);
  });

  it("is refused where nothing was compared", () => {
    expect(() => winRate([])).toThrow("nothing to compare");
  });
});

describe("AlpacaEval's length-controlled win rate", () => {
  it.each(CASES)("is scikit-learn's: $lengthControlled", ({ comparisons, gamed, ...expected }) => {
    const found = controlLength(comparisons, gamed);
    expect(found.strength).toBeCloseTo(expected.strength, 6);
    const { length, difficulty, model } = found.coefficients;
    for (const [index, value] of [length, difficulty, model].entries()) {
      expect(value).toBeCloseTo(expected.coefficients[index] ?? Number.NaN, 4);
    }
    expect(found.length_controlled_win_rate).toBeCloseTo(expected.lengthControlled, 3);
  });

  it("takes from a model that wins by length what it won by length", () => {
    const [first] = CASES;
    if (first === undefined) throw new Error("There are no cases");
    const longer = first.comparisons.map((one) => ({
      ...one,
      preference: one.modelLength > one.baselineLength ? 0.95 : 0.35,
    }));
    const plain = winRate(longer).win_rate;
    expect(controlLength(longer, first.gamed).length_controlled_win_rate).not.toBeCloseTo(plain, 0);
  });

  it("is refused where an instruction's difficulty is not known, or no lengths differ", () => {
    const [first] = CASES;
    const comparisons = first?.comparisons ?? [];
    expect(() => controlLength(comparisons, [])).toThrow("how difficult instruction 0 is");
    const same = comparisons.map((one) => ({ ...one, modelLength: one.baselineLength }));
    expect(() => controlLength(same, first?.gamed ?? [])).toThrow("length has no effect");
  });
});
