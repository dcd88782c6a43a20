import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isotonicFit } from "../../../schema/isotonic.ts";

const points = fc.array(
  fc.record({ value: fc.integer({ min: -50, max: 50 }), weight: fc.integer({ min: 1, max: 9 }) }),
  {
    minLength: 1,
    maxLength: 8,
  },
);

const distance = (values: readonly number[], to: readonly { value: number; weight: number }[]) =>
  to.reduce((sum, { value, weight }, index) => sum + weight * (value - (values[index] ?? 0)) ** 2, 0);

describe("isotonicFit", () => {
  test("pools what falls into its weighted mean", () => {
    const fitted = isotonicFit([
      { value: 1, weight: 1 },
      { value: 5, weight: 3 },
      { value: 1, weight: 1 },
      { value: 9, weight: 1 },
    ]);
    expect(fitted).toEqual([1, 4, 4, 9]);
  });

  test("never falls, keeps the weighted sum, and leaves a rising sequence alone", () => {
    fc.assert(
      fc.property(points, (given) => {
        const fitted = isotonicFit(given);
        expect(fitted).toHaveLength(given.length);
        for (const [index, value] of fitted.entries()) {
          expect(value).toBeGreaterThanOrEqual((fitted[index - 1] ?? value) - 1e-9);
        }
        const sum = (values: readonly number[]) =>
          values.reduce((total, v, i) => total + v * (given[i]?.weight ?? 0), 0);
        expect(sum(fitted)).toBeCloseTo(sum(given.map(({ value }) => value)), 6);
        const rising = given.map(({ weight }, index) => ({ value: index, weight }));
        expect(isotonicFit(rising)).toEqual(rising.map(({ value }) => value));
      }),
    );
  });

  test("is nearer to the points than any other sequence that never falls", () => {
    fc.assert(
      fc.property(
        points,
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 8, maxLength: 8 }),
        (given, other) => {
          const rival = other.slice(0, given.length).sort((a, b) => a - b);
          expect(distance(isotonicFit(given), given)).toBeLessThanOrEqual(distance(rival, given) + 1e-6);
        },
      ),
    );
  });
});
