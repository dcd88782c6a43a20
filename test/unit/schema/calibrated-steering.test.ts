import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LEVELS } from "../../../schema/attributes.ts";
import { calibratedRequest } from "../../../schema/calibrated-steering.ts";
import { type AttributeCalibration, attributeCalibrationSchema } from "../../../schema/calibration.ts";
import { isotonicFit } from "../../../schema/isotonic.ts";

const mean = (value: number) => ({ value, low: value - 1, high: value + 1, n: 20 });

/** A calibration in words: for each strength the values at levels 0 to 4. */
function wordsAt(curves: Record<string, readonly number[]>): AttributeCalibration {
  return attributeCalibrationSchema.parse({
    steerable: true,
    unit: "words",
    measured_by: "words",
    edges: [15, 40, 80, 140],
    held: {},
    curves: Object.entries(curves)
      .map(([strength, values]) => ({
        strength: Number(strength),
        rho: mean(0.9),
        points: values.map((value, index) => ({ level: LEVELS[index], measured: mean(value) })),
      }))
      .sort((a, b) => a.strength - b.strength),
  });
}

const linear = { scale: "linear", strength: 1 } as const;
const inLevels = { scale: "levels", strength: 1 } as const;

describe("calibratedRequest", () => {
  test("asks for the level itself where levels are spaced evenly", () => {
    const calibration = wordsAt({ 1: [10, 30, 50, 70, 90], 2: [5, 20, 50, 110, 160] });
    for (const level of LEVELS) {
      expect(calibratedRequest(calibration, level, linear)).toMatchObject({ level, strength: 1 });
    }
  });

  test("asks for another level where that one gives what is wished", () => {
    // Half way between 10 and 210 words lies what level 3 gives.
    const calibration = wordsAt({ 1: [10, 20, 40, 110, 210] });
    expect(calibratedRequest(calibration, 2, linear)).toEqual({ level: 3, strength: 1, expected: 110 });
  });

  test("finds values between two levels by the strength", () => {
    const calibration = wordsAt({ 1: [10, 30, 50, 70, 90], 2: [10, 30, 50, 80, 130] });
    const asked = calibratedRequest(calibration, 3.25, linear);
    // 75 words: level 3 gives 70 at strength 1 and 80 at strength 2.
    expect(asked).toEqual({ level: 3, strength: 1.5, expected: 75 });
  });

  test("takes a wish for a level as the middle of what the level means", () => {
    const calibration = wordsAt({ 1: [10, 30, 60, 110, 300] });
    expect(calibratedRequest(calibration, 1, inLevels)).toMatchObject({ level: 1 });
    expect(calibratedRequest(calibration, 3, inLevels)).toMatchObject({ level: 3, expected: 110 });
  });

  test("knows no answer where the attribute does not obey", () => {
    const calibration = { ...wordsAt({ 1: [10, 11, 10, 11, 10] }), steerable: false };
    expect(calibratedRequest(calibration, 2, linear)).toBeNull();
  });

  const curve = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 5, maxLength: 5 });
  const calibrations = fc
    .record({ one: curve, two: curve, four: curve })
    .map(({ one, two, four }) => wordsAt({ 1: one, 2.5: two, 4: four }));
  const wishes = fc.double({ min: 0, max: 4, noNaN: true });
  const scales = fc.constantFrom("linear" as const, "levels" as const);

  test("never gives less for a higher wish", () => {
    fc.assert(
      fc.property(calibrations, wishes, wishes, scales, (calibration, one, other, scale) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        const expected = (wish: number) => calibratedRequest(calibration, wish, { scale, strength: 1 })?.expected ?? 0;
        expect(expected(high)).toBeGreaterThanOrEqual(expected(low) - 1e-6);
      }),
    );
  });

  test("asks for a level from 0 to 4 and a strength from 1 to 3, whatever the curves", () => {
    fc.assert(
      fc.property(calibrations, wishes, scales, (calibration, wish, scale) => {
        const asked = calibratedRequest(calibration, wish, { scale, strength: 2.5 });
        expect(LEVELS).toContain(asked?.level);
        expect(asked?.strength).toBeGreaterThanOrEqual(1);
        expect(asked?.strength).toBeLessThanOrEqual(3);
      }),
    );
  });

  test("comes as near to the wish as any level does at a strength that was measured", () => {
    fc.assert(
      fc.property(calibrations, wishes, (calibration, wish) => {
        const target = { 0: 7.5, 1: 27.5, 2: 60, 3: 110, 4: 170 };
        const level = LEVELS[Math.round(wish)] ?? 4;
        const asked = calibratedRequest(calibration, level, inLevels);
        const distance = Math.abs((asked?.expected ?? Number.POSITIVE_INFINITY) - target[level]);
        for (const { strength, points } of calibration.curves) {
          if (strength > 3) continue;
          const rising = isotonicFit(points.map(({ measured }) => ({ value: measured.value, weight: measured.n })));
          for (const value of rising) expect(distance).toBeLessThanOrEqual(Math.abs(value - target[level]) + 1e-6);
        }
      }),
    );
  });
});
