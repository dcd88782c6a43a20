import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packRows, paddedTokens } from "../../../../gpu-worker/steerlm/training/batches.ts";

const lengthsOf = fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 60 });
const budgets = fc.integer({ min: 1, max: 1200 });

describe("batches of rows", () => {
  test("hold every row once", () => {
    fc.assert(
      fc.property(lengthsOf, budgets, (lengths, budget) => {
        const all = packRows(lengths, budget).flat();
        expect(all.toSorted((a, b) => a - b)).toEqual(lengths.map((_, index) => index));
      }),
    );
  });

  test("fit the budget with their padding, but for a row that does not fit alone", () => {
    fc.assert(
      fc.property(lengthsOf, budgets, (lengths, budget) => {
        for (const batch of packRows(lengths, budget)) {
          if (batch.length > 1) expect(paddedTokens(lengths, [batch])).toBeLessThanOrEqual(budget);
        }
      }),
    );
  });

  test("hold rows of like length, the longest first", () => {
    const lengths = [10, 500, 12, 480, 11];
    expect(packRows(lengths, 1000)).toEqual([
      [1, 3],
      [2, 4, 0],
    ]);
    expect(paddedTokens(lengths, packRows(lengths, 1000))).toBe(1036);
  });
});
