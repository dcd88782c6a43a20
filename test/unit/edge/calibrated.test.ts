import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resolveFanOut, resolveSteering, type SteeringPreset } from "../../../edge/steering/resolve.ts";
import { ATTRIBUTES, type Bound, LEVELS, type Level, type SteeringProfile } from "../../../schema/attributes.ts";
import { effectiveSteeringSchema } from "../../../schema/steering.ts";
import { plantedCalibration } from "../../fixtures/planted-calibration.ts";

const profile: SteeringProfile = {
  template: "chatml",
  strength: 2,
  attributes: [
    { name: "helpfulness", default: 4 },
    { name: "humor", default: null },
    { name: "complexity", default: null },
    { name: "verbosity", default: null },
  ],
};

/** Levels 0–4 mean 7.5, 27.5, 60, 110 and 170 words; answers run short unless they are asked strongly. */
const EDGES = [15, 40, 80, 140] as [number, number, number, number];
const verbosity = {
  unit: "words",
  edges: EDGES,
  curves: { 1: [7.5, 12, 27.5, 60, 80], 2: [4, 10, 30, 110, 180], 4: [1, 5, 40, 300, 400] },
} as const;
const calibration = plantedCalibration({ verbosity }, { defaultStrength: 2 });
const model = { profile, calibration };

const preset = (bounds: SteeringPreset["bounds"], attributes: SteeringPreset["attributes"] = {}): SteeringPreset => ({
  ...{ slug: "tutor", version: 1, attributes, bounds },
});

const calibrated = (level: Level, bound?: Bound, from: "preset" | "key" = "preset") =>
  resolveSteering(
    { attributes: { verbosity: level }, calibrated: true },
    bound !== undefined && from === "preset" ? preset({ verbosity: bound }) : null,
    bound !== undefined && from === "key" ? { verbosity: bound } : {},
    model,
  );

/** What is wished, within which bound; what is asked for and how strongly, and by what the wish was clamped. */
const TRUTH_TABLE: [wish: Level, bound: Bound | "-", wished: Level, asked: Level, strength: number, reason: string][] =
  [
    [0, "-", 0, 0, 1, "-"],
    // 27.5 words are what level 2 gives at strength 1,
    [1, "-", 1, 2, 1, "-"],
    // and 60 what level 3 does;
    [2, "-", 2, 3, 1, "-"],
    // 110 and 170 lie between what level 4 gives at strengths 1 and 2.
    [3, "-", 3, 4, 1.3, "-"],
    [4, "-", 4, 4, 1.9, "-"],
    // The wish is bounded,
    [0, { min: 2 }, 2, 3, 1, "min"],
    // and so is what is asked for: up to level 3, 110 words come at strength 2; up to level 2, at most 30.
    [3, { max: 3 }, 3, 3, 2, "-"],
    [4, { max: 3 }, 3, 3, 2, "max"],
    [2, { max: 2 }, 2, 2, 2, "-"],
    [4, { max: 2 }, 2, 2, 2, "max"],
  ];

describe("steer.calibrated", () => {
  it.each(TRUTH_TABLE.flatMap((row) => [[...row, "preset"] as const, [...row, "key"] as const]))(
    "of level %j within %j wishes for %j: level %j at strength %j is asked for (clamped by: %s of the %s)",
    (wish, bound, wished, asked, strength, reason, from) => {
      const steering = calibrated(wish, bound === "-" ? undefined : bound, from);
      expect(steering.effective).toEqual({ helpfulness: 4, verbosity: asked });
      expect(steering.calibration).toMatchObject({ verbosity: { wished, asked, unit: "words" } });
      expect(steering.guidance).toEqual(strength === 1 ? undefined : { strength, against: {} });
      expect(steering.clamped.map((clamp) => clamp.reason)).toEqual(reason === "-" ? [] : [`${from}_${reason}`]);
      expect(steering.note).toBeNull();
      expect(effectiveSteeringSchema.parse(steering)).toEqual(steering);
    },
  );

  it("leaves a locked level, a default and an attribute that was not asked for as they are", () => {
    const locked = calibrated(2, { locked: 2 }, "key");
    expect(locked).toMatchObject({ effective: { helpfulness: 4, verbosity: 2 }, calibration: {}, note: null });
    expect(locked.guidance?.strength).toBe(2);
    const nothing = resolveSteering({ calibrated: true }, null, {}, model);
    expect(nothing).toMatchObject({ effective: { helpfulness: 4 }, calibration: {}, note: null });
  });

  it("takes a preset's level for a wish, too", () => {
    const steering = resolveSteering({ calibrated: true }, preset({}, { verbosity: 2 }), {}, model);
    expect(steering).toMatchObject({
      effective: { verbosity: 3 },
      calibration: { verbosity: { wished: 2, asked: 3 } },
    });
  });

  it("is as without where the model has no calibration, and says so", () => {
    const request = { attributes: { verbosity: 3 } } as const;
    for (const [own, note] of [
      [{ profile, calibration: null }, /^This model has no calibration/],
      [{ profile: null, calibration: null }, /not trained on attributes.*This model has no calibration/],
    ] as const) {
      const plain = resolveSteering(request, null, {}, own);
      const steering = resolveSteering({ ...request, calibrated: true }, null, {}, own);
      expect(steering).toEqual({ ...plain, calibration: {}, note: expect.stringMatching(note) });
    }
  });

  it("asks as they are for attributes that were not measured or do not follow, and names them", () => {
    const own = plantedCalibration({ verbosity, humor: { steerable: false, curves: { 1: [1, 1, 1, 1, 1] } } });
    const attributes = { verbosity: 2, humor: 3, complexity: 1 } as const;
    const steering = resolveSteering({ attributes, calibrated: true }, null, {}, { profile, calibration: own });
    expect(steering.effective).toEqual({ helpfulness: 4, humor: 3, complexity: 1, verbosity: 3 });
    expect(Object.keys(steering.calibration ?? {})).toEqual(["verbosity"]);
    expect(steering.note).toMatch(/as they are.*humor, complexity/);
  });

  it("steers away from what was steered away from when it was measured", () => {
    const held = plantedCalibration({ verbosity }, { against: "held" });
    const request = { attributes: { verbosity: 4, complexity: 1 }, calibrated: true } as const;
    const steering = resolveSteering(request, null, {}, { profile, calibration: held });
    expect(steering.guidance).toEqual({ strength: 1.9, against: { helpfulness: 4, complexity: 1 } });
    const opposite = plantedCalibration({ verbosity }, { against: "opposite" });
    const mirrored = resolveSteering(request, null, {}, { profile, calibration: opposite });
    const asked = mirrored.effective.verbosity ?? expect.fail("not asked for");
    expect(mirrored.guidance?.against).toEqual({ helpfulness: 4, complexity: 1, verbosity: 4 - asked });
  });

  it("takes one strength for all attributes, at which they come nearest together", () => {
    // Alone, humor would be asked for at strength 1 and verbosity at 1.9. At 2 humor overshoots by less than verbosity would miss at 1.
    const humor = { curves: { 1: [0, 1, 2, 3, 3.4], 2: [0, 1, 2, 3.6, 4] } };
    const own = plantedCalibration({ verbosity, humor });
    const request = { attributes: { verbosity: 4, humor: 3 }, calibrated: true } as const;
    const steering = resolveSteering(request, null, {}, { profile, calibration: own });
    expect(steering.guidance?.strength).toBe(2);
    expect(steering.calibration).toMatchObject({
      humor: { wished: 3, asked: 3, expected: 3.6 },
      verbosity: { wished: 4, asked: 4, expected: 180 },
    });
  });

  it("calibrates each choice of a fan-out by itself", () => {
    const request = { fan_out: [{ verbosity: 0 }, { verbosity: 4 }], calibrated: true } as const;
    const choices = resolveFanOut(request, null, {}, model);
    expect(choices?.map(({ calibration: echo }) => echo?.verbosity?.asked)).toEqual([0, 4]);
    expect(choices?.map(({ guidance }) => guidance?.strength)).toEqual([undefined, 1.9]);
  });

  it("keeps within all bounds and below strength 3, whatever is wished of whatever calibration", () => {
    const level = fc.constantFrom(...LEVELS);
    const bound: fc.Arbitrary<Bound> = fc.oneof(
      level.map((locked) => ({ locked })),
      fc.tuple(level, level).map(([a, b]) => (a < b ? { min: a, max: b } : { min: b, max: a })),
    );
    const subset = <T>(value: fc.Arbitrary<T>) => fc.dictionary(fc.constantFrom(...ATTRIBUTES), value);
    const curve = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 5, maxLength: 5 });
    const curves = subset(fc.record({ 1: curve, 2.5: curve, 5: curve }).map((own) => ({ curves: own })));
    fc.assert(
      fc.property(
        subset(fc.option(level)),
        subset(bound),
        subset(bound),
        curves,
        (attributes, bounds, keyBounds, own) => {
          const trained = { ...profile, attributes: ATTRIBUTES.map((name) => ({ name, default: null })) };
          const { strength: _, ...plain } = trained;
          const steering = resolveSteering({ attributes, calibrated: true }, preset(bounds), keyBounds, {
            profile: plain,
            calibration: plantedCalibration(own),
          });
          expect(effectiveSteeringSchema.parse(steering)).toEqual(steering);
          expect(steering.guidance?.strength ?? 1).toBeLessThanOrEqual(3);
          const without = resolveSteering({ attributes }, preset(bounds), keyBounds, {
            profile: plain,
            calibration: null,
          });
          for (const attribute of ATTRIBUTES) {
            const asked = steering.effective[attribute];
            expect(asked === undefined).toBe(without.effective[attribute] === undefined);
            if (asked === undefined) continue;
            const key = keyBounds[attribute];
            const { min = 0, max = 4, locked } = key ?? {};
            if (locked !== undefined) expect(asked).toBe(locked);
            else if (key !== undefined) expect(asked >= min && asked <= max).toBe(true);
          }
        },
      ),
    );
  });
});
