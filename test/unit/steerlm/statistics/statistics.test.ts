import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootstrapInterval } from "../../../../gpu-worker/steerlm/statistics/bootstrap.ts";
import { pearson, ranks, spearman } from "../../../../gpu-worker/steerlm/statistics/correlation.ts";
import { quantile } from "../../../../gpu-worker/steerlm/statistics/quantile.ts";
import { fitLine, lineAt } from "../../../../gpu-worker/steerlm/statistics/regression.ts";
import { unitHash } from "../../../../gpu-worker/steerlm/unit-hash.ts";

const number = fc.integer({ min: -1000, max: 1000 }).map((value) => value / 8);
const points = fc.array(fc.tuple(number, number), { minLength: 2, maxLength: 30 });
const sides = (pairs: readonly (readonly [number, number])[]) =>
  [pairs.map(([x]) => x), pairs.map(([, y]) => y)] as const;

/** A source of numbers that a test can repeat. */
const draws = () => {
  let count = 0;
  return () => unitHash(String(count++));
};

describe("ranks", () => {
  test("share their mean where values are equal", () => {
    expect(ranks([10, 30, 20, 20, 5])).toEqual([2, 5, 3.5, 3.5, 1]);
    expect(ranks([])).toEqual([]);
  });

  test("always add up to n(n+1)/2", () => {
    fc.assert(
      fc.property(fc.array(number), (values) => {
        const sum = ranks(values).reduce((total, rank) => total + rank, 0);
        expect(sum).toBe((values.length * (values.length + 1)) / 2);
      }),
    );
  });
});

describe("correlation", () => {
  test("has NumPy's values", () => {
    const [xs, ys] = [
      [1, 2, 3, 4, 5, 6],
      [2, 1, 4, 3, 7, 5],
    ];
    expect(pearson(xs, ys)).toBeCloseTo(0.7917947, 6);
    expect(spearman(xs, ys)).toBeCloseTo(0.8285714, 6);
    expect(spearman([1, 2, 2, 3], [1, 3, 2, 4])).toBeCloseTo(0.9486833, 6);
  });

  test("is not defined for one pair or a side that never changes", () => {
    expect(pearson([1], [2])).toBeNull();
    expect(pearson([0.1, 0.1, 0.1], [1, 2, 3])).toBeNull();
    expect(spearman([1, 2, 3], [4, 4, 4])).toBeNull();
  });

  test("is the same both ways, within −1 and 1, and changes its sign with a side's", () => {
    fc.assert(
      fc.property(points, (pairs) => {
        const [xs, ys] = sides(pairs);
        for (const correlation of [pearson, spearman]) {
          const r = correlation(xs, ys);
          if (r === null) continue;
          expect(Math.abs(r)).toBeLessThanOrEqual(1);
          expect(correlation(ys, xs)).toBeCloseTo(r, 9);
          expect(
            correlation(
              xs,
              ys.map((y) => -y),
            ),
          ).toBeCloseTo(-r, 9);
        }
      }),
    );
  });

  test("of ranks does not change when values are stretched without changing their order", () => {
    fc.assert(
      fc.property(points, (pairs) => {
        const [xs, ys] = sides(pairs);
        expect(
          spearman(
            xs.map((x) => x ** 3),
            ys,
          ),
        ).toEqual(spearman(xs, ys));
      }),
    );
  });

  test("refuses lists of different lengths", () => {
    expect(() => pearson([1, 2], [1])).toThrow(RangeError);
  });
});

describe("quantile", () => {
  test("lies in a straight line between neighbours, as NumPy's", () => {
    expect([0, 0.25, 0.5, 1].map((share) => quantile([1, 2, 4, 8], share))).toEqual([1, 1.75, 3, 8]);
    expect(() => quantile([], 0.5)).toThrow(RangeError);
  });
});

describe("least squares", () => {
  test("finds the line that points lie on", () => {
    fc.assert(
      fc.property(number, number, fc.uniqueArray(number, { minLength: 2 }), (intercept, slope, xs) => {
        const line = fitLine(
          xs,
          xs.map((x) => intercept + slope * x),
        );
        expect(line?.slope).toBeCloseTo(slope, 6);
        expect(line && lineAt(line, 1)).toBeCloseTo(intercept + slope, 6);
      }),
    );
  });

  test("counts a point with a weight of 2 as two points", () => {
    const once = fitLine([0, 1, 2], [1, 5, 2], [1, 2, 1]);
    const twice = fitLine([0, 1, 1, 2], [1, 5, 5, 2]);
    expect(once?.slope).toBeCloseTo(twice?.slope ?? Number.NaN, 12);
    expect(once?.intercept).toBeCloseTo(twice?.intercept ?? Number.NaN, 12);
  });

  test("is the mean where x never changes, and nothing without points", () => {
    expect(fitLine([3, 3], [1, 5])).toEqual({ intercept: 3, slope: 0 });
    expect(fitLine([], [])).toBeNull();
  });
});

describe("a bootstrap interval", () => {
  const average = (sample: number[]) => sample.reduce((sum, value) => sum + value, 0) / sample.length;

  test("holds the mean, and is about as wide as theory says", () => {
    const groups = Array.from({ length: 100 }, (_, index) => [index % 2]);
    const interval = bootstrapInterval(groups, average, { random: draws() });
    // 1.96 · 0.5 / √100
    expect(interval?.low).toBeCloseTo(0.5 - 0.098, 1);
    expect(interval?.high).toBeCloseTo(0.5 + 0.098, 1);
  });

  test("is wider where values of a group go together: they are drawn together", () => {
    const width = (groups: number[][]) => {
      const interval = bootstrapInterval(groups, average, { random: draws() });
      return (interval?.high ?? 0) - (interval?.low ?? 0);
    };
    const clustered = Array.from({ length: 20 }, (_, index) => [index % 2, index % 2, index % 2, index % 2]);
    const single = clustered.flat().map((value) => [value]);
    expect(width(clustered)).toBeGreaterThan(1.5 * width(single));
  });

  test("repeats with the same draws", () => {
    const groups = [[1], [5], [2], [9]];
    const once = bootstrapInterval(groups, average, { random: draws() });
    expect(bootstrapInterval(groups, average, { random: draws() })).toEqual(once);
  });

  test("does not exist for a single group, nor where the statistic mostly does not", () => {
    expect(bootstrapInterval([[1, 2, 3]], average, { random: draws() })).toBeNull();
    expect(bootstrapInterval([[1], [2]], () => null, { random: draws() })).toBeNull();
  });
});
