import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SMALL_MODEL_SCALE } from "../../../../gpu-worker/model/measured-levels.ts";
import { labelsRead } from "../../../../gpu-worker/steerlm/apm/answer-reader.ts";
import { spreadOut } from "../../../../gpu-worker/steerlm/apm/spread.ts";
import { spreadOf } from "../../../../gpu-worker/steerlm/apm/validation.ts";

/** Predictions that shrink towards the mean, as a small model's do. */
const LABELS = Array.from({ length: 200 }, (_, index) => (index % 5) + (index % 3) / 4);
const SHRUNK = LABELS.map((label) => 1.5 + 0.3 * label);
const SPREAD = spreadOf({ predicted: SHRUNK, labels: LABELS });

describe("predictions that are spread out", () => {
  test("are distributed like the labels", () => {
    const spread = SHRUNK.map((prediction) => spreadOut(prediction, SPREAD));
    const sorted = (values: number[]) => values.toSorted((a, b) => a - b);
    const difference = sorted(spread).map((value, index) => Math.abs(value - (sorted(LABELS)[index] ?? 0)));
    expect(Math.max(...difference)).toBeLessThan(0.6);
    expect(Math.min(...spread)).toBe(0);
    expect(Math.max(...spread)).toBe(Math.max(...LABELS));
  });

  test("keep their order", () => {
    const value = fc.double({ min: -2, max: 8, noNaN: true });
    fc.assert(
      fc.property(
        value,
        value,
        fc.array(fc.tuple(value, fc.double({ min: 0, max: 4, noNaN: true })), { minLength: 21 }),
        (a, b, pairs) => {
          const spread = spreadOf({ predicted: pairs.map(([one]) => one), labels: pairs.map(([, one]) => one) });
          const [low, high] = [spreadOut(Math.min(a, b), spread), spreadOut(Math.max(a, b), spread)];
          expect(low).toBeLessThanOrEqual(high + 1e-9);
        },
      ),
    );
  });

  test("are left as they are where too few answers were held out", () => {
    expect(spreadOf({ predicted: [1, 2], labels: [1, 2] })).toBeNull();
    expect(spreadOut(2.5, null)).toBe(2.5);
  });
});

describe("labels that are read", () => {
  const attribute = (name: "quality" | "verbosity") => ({
    ...{ name, mean: 2, by_length: { intercept: 0, slope: 0 }, spread: null },
  });
  const options = { scale: SMALL_MODEL_SCALE, spread: false };

  test("are fractions within 0 and 4", () => {
    const read = (quality: number) =>
      labelsRead("a", { quality }, { attributes: [attribute("quality")] }, options).quality;
    expect([-0.3, 2.123456, 4.7].map(read)).toEqual([0, 2.1235, 4]);
  });

  test("have verbosity and complexity measured, unless they are predicted", () => {
    const answer = "The cat sat on the mat. ".repeat(5);
    const measured = labelsRead(answer, { quality: 1 }, { attributes: [attribute("quality")] }, options);
    expect(measured).toEqual({ quality: 1, complexity: 0, verbosity: 1 });
    const predicted = labelsRead(answer, { verbosity: 3.5 }, { attributes: [attribute("verbosity")] }, options);
    expect(predicted).toEqual({ complexity: 0, verbosity: 3.5 });
  });
});
