import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  resolveFanOut,
  resolveSteering,
  type SteeredModel,
  type SteeringPreset,
  type SteeringRequest,
} from "../../../edge/steering/resolve.ts";
import {
  ATTRIBUTES,
  type Bound,
  type Bounds,
  clampLevel,
  LEVELS,
  type Level,
  type SteeringProfile,
} from "../../../schema/attributes.ts";
import { effectiveSteeringSchema } from "../../../schema/steering.ts";

const profileOf = (fallback: Level | null): SteeringProfile => ({
  template: "chatml",
  attributes: [{ name: "verbosity", default: fallback }],
});

const uncalibrated = (profile: SteeringProfile | null): SteeredModel => ({ profile, calibration: null });
const UNTRAINED = uncalibrated(null);

const presetOf = (level: Level | undefined, bound: Bound | undefined): SteeringPreset => ({
  slug: "tutor",
  version: 2,
  attributes: level === undefined ? {} : { verbosity: level },
  bounds: bound === undefined ? {} : { verbosity: bound },
});

/** asked: `-` nothing, `null` to leave it out; clamp: what was asked and the reason, or `-`. */
const TRUTH_TABLE: [
  asked: Level | null | "-",
  preset: Level | "-",
  fallback: Level | null,
  bound: Bound | "-",
  applied: Level | null,
  reason: string,
][] = [
  // Nobody says anything: the profile's default.
  ["-", "-", 3, "-", 3, "-"],
  ["-", "-", null, "-", null, "-"],
  // The preset's level stands in for what the request leaves out.
  ["-", 1, 3, "-", 1, "-"],
  ["-", 1, null, "-", 1, "-"],
  // What the request says wins over both.
  [4, "-", 3, "-", 4, "-"],
  [4, 1, 3, "-", 4, "-"],
  [null, "-", 3, "-", null, "-"],
  [null, 1, 3, "-", null, "-"],
  // Bounds clamp what was requested, and say why.
  [4, "-", 3, { max: 2 }, 2, "preset_max"],
  [0, "-", 3, { min: 1 }, 1, "preset_min"],
  [0, 2, 3, { min: 1, max: 3 }, 1, "preset_min"],
  [2, "-", 3, { min: 1, max: 3 }, 2, "-"],
  // A default outside the bounds is clamped silently: nobody asked for it.
  ["-", "-", 4, { max: 2 }, 2, "-"],
  ["-", "-", 0, { min: 1 }, 1, "-"],
  ["-", 2, 4, { max: 2 }, 2, "-"],
  // A bounded attribute cannot be left out.
  [null, 2, 4, { max: 3 }, 2, "preset_max"],
  [null, "-", 4, { max: 3 }, 3, "preset_max"],
  // Where nobody gives a level at all: the best behaviour within the bound, for verbosity 2.
  [null, "-", null, { max: 3 }, 2, "preset_max"],
  ["-", "-", null, { max: 1 }, 1, "-"],
  [null, "-", null, { min: 2 }, 2, "preset_min"],
  ["-", "-", null, { min: 2, max: 3 }, 2, "-"],
  // Locked always wins, asked or not.
  [4, 1, 3, { locked: 1 }, 1, "preset_locked"],
  [1, 1, 3, { locked: 1 }, 1, "-"],
  [null, "-", 3, { locked: 1 }, 1, "preset_locked"],
  ["-", "-", 3, { locked: 1 }, 1, "-"],
  ["-", "-", null, { locked: 1 }, 1, "-"],
  // A bound without content bounds nothing.
  [null, 1, 3, {}, null, "-"],
  [4, 1, 3, {}, 4, "-"],
];

describe("effective steering", () => {
  it.each(TRUTH_TABLE)(
    "asked %j, preset %j, default %j, bound %j: applies %j, clamp %s",
    (asked, preset, fallback, bound, applied, reason) => {
      const requested = asked === "-" ? {} : { verbosity: asked };
      const saved = presetOf(preset === "-" ? undefined : preset, bound === "-" ? undefined : bound);
      const steering = resolveSteering({ attributes: requested }, saved, {}, uncalibrated(profileOf(fallback)));
      expect(steering).toEqual({
        effective: applied === null ? {} : { verbosity: applied },
        method: applied === null ? "none" : "label_line",
        preset: { slug: "tutor", version: 2 },
        clamped: reason === "-" ? [] : [{ attribute: "verbosity", requested: asked, applied, reason }],
        not_trained: [],
        note: null,
      });
    },
  );

  it("lists attributes in their one order, whatever order they were asked in", () => {
    const requested = { verbosity: 1, humor: 2, quality: 3 } as const;
    const { effective } = resolveSteering({ attributes: requested }, null, {}, UNTRAINED);
    expect(Object.keys(effective)).toEqual(["quality", "humor", "verbosity"]);
  });

  it("accepts attributes that the model was not trained on, and reports those that somebody gave a level", () => {
    const preset: SteeringPreset = {
      slug: "tutor",
      version: 1,
      attributes: { humor: 1, creativity: 2 },
      bounds: { toxicity: { locked: 0 }, coherence: { min: 2 }, quality: { max: 1 } },
    };
    const requested = { helpfulness: 4, correctness: null, creativity: null, quality: 4, verbosity: 3 } as const;
    const steering = resolveSteering({ attributes: requested }, preset, {}, uncalibrated(profileOf(2)));
    expect(steering.effective).toEqual({ verbosity: 3 });
    expect(steering.not_trained).toEqual(["quality", "toxicity", "humor", "helpfulness"]);
    expect(steering.clamped).toEqual([]);
  });

  it("steers a model without a profile in words, and says so", () => {
    const steering = resolveSteering({ attributes: { humor: 4 } }, presetOf(1, { max: 2 }), {}, UNTRAINED);
    expect(steering).toMatchObject({ effective: { humor: 4, verbosity: 1 }, method: "words", not_trained: [] });
    expect(steering.note).toMatch(/not trained on attributes.*in words/);
  });

  it("does nothing to a model without a profile that nobody steers", () => {
    expect(resolveSteering({ attributes: { humor: null } }, null, {}, UNTRAINED)).toEqual({
      effective: {},
      method: "none",
      preset: null,
      clamped: [],
      not_trained: [],
      note: null,
    });
  });

  it("keeps every level inside its bound and explains every difference, for any request and preset", () => {
    const level = fc.constantFrom(...LEVELS);
    const subset = <T>(value: fc.Arbitrary<T>) => fc.dictionary(fc.constantFrom(...ATTRIBUTES), value);
    const bound: fc.Arbitrary<Bound> = fc.oneof(
      level.map((locked) => ({ locked })),
      fc.tuple(level, level).map(([a, b]) => (a < b ? { min: a, max: b } : { min: b, max: a })),
      level.map((max) => ({ max })),
    );
    const profile = fc.option(
      subset(fc.option(level)).map((defaults): SteeringProfile => {
        const attributes = ATTRIBUTES.flatMap((name) =>
          name in defaults ? [{ name, default: defaults[name] ?? null }] : [],
        );
        return { template: "chatml", attributes };
      }),
    );
    fc.assert(
      fc.property(
        subset(fc.option(level)),
        subset(level),
        subset(bound),
        profile,
        (requested, attributes, bounds, trained) => {
          const steering = resolveSteering(
            { attributes: requested },
            { slug: "p", version: 1, attributes, bounds },
            {},
            uncalibrated(trained),
          );
          expect(effectiveSteeringSchema.parse(steering)).toEqual(steering);
          for (const attribute of ATTRIBUTES) {
            const applied = steering.effective[attribute];
            const asked = requested[attribute];
            const clamp = steering.clamped.find((entry) => entry.attribute === attribute);
            const limit = bounds[attribute];
            if (applied !== undefined && limit !== undefined) expect(clampLevel(applied, limit)).toBe(applied);
            if (clamp !== undefined) expect(clamp).toMatchObject({ requested: asked, applied });
            if (applied !== undefined && asked !== undefined && asked !== applied) expect(clamp).toBeDefined();
          }
        },
      ),
    );
  });
});

describe("guidance", () => {
  const levels = { attributes: { verbosity: 1 } } as const;
  const guidanceOf = (
    request: SteeringRequest,
    preset: SteeringPreset | null,
    profile: SteeringProfile | null,
    keyBounds: Bounds = {},
  ) => resolveSteering({ ...levels, ...request }, preset, keyBounds, uncalibrated(profile)).guidance;

  it("is what the request asks for, else what the profile says, else none", () => {
    const strong = { ...profileOf(null), strength: 1.5 };
    expect(guidanceOf({ strength: 2 }, null, strong)).toEqual({ strength: 2, against: {} });
    expect(guidanceOf({}, null, strong)).toEqual({ strength: 1.5, against: {} });
    expect(guidanceOf({ strength: 1 }, null, strong)).toBeUndefined();
    expect(guidanceOf({}, null, profileOf(null))).toBeUndefined();
    expect(guidanceOf({ strength: 2 }, null, null)).toEqual({ strength: 2, against: {} });
  });

  it("is none where no level reaches the model", () => {
    expect(resolveSteering({ strength: 2 }, null, {}, UNTRAINED).guidance).toBeUndefined();
  });

  it("steers against the levels given, of those the model was trained on", () => {
    const against = { verbosity: 4, humor: 3 } as const;
    expect(guidanceOf({ strength: 2, against }, null, profileOf(null))?.against).toEqual({ verbosity: 4 });
    expect(guidanceOf({ strength: 2, against }, null, null)?.against).toEqual(against);
  });

  it("steers away from the opposite of what was asked for where the profile says so, all else held", () => {
    const profile: SteeringProfile = {
      ...{ template: "chatml", strength: 2, against: "opposite" },
      attributes: [
        { name: "toxicity", default: 0 },
        { name: "complexity", default: 2 },
        { name: "verbosity", default: null },
      ],
    };
    const model = uncalibrated(profile);
    const against = (request: SteeringRequest, preset: SteeringPreset | null = null, bounds: Bounds = {}) =>
      resolveSteering(request, preset, bounds, model).guidance?.against;
    expect(against({ attributes: { complexity: 4 } })).toEqual({ toxicity: 0, complexity: 0 });
    expect(against({ attributes: { verbosity: 1 } })).toEqual({ toxicity: 0, complexity: 2, verbosity: 3 });
    // What a preset asks for counts, and what the request takes back does not.
    expect(against({}, presetOf(0, undefined))).toEqual({ toxicity: 0, complexity: 2, verbosity: 4 });
    expect(against({ attributes: { verbosity: null } }, presetOf(0, undefined))).toBeUndefined();
    // Of what is applied, not of what was wished; also where it is bounded: it leads away from what the bound forbids.
    const locked = { toxicity: { locked: 0 } } as const;
    expect(against({ attributes: { toxicity: 4 } }, null, locked)).toEqual({ toxicity: 4, complexity: 2 });
    // Levels in the middle have no opposite: nothing is computed twice for nothing.
    expect(against({})).toBeUndefined();
    expect(against({ attributes: { complexity: 2 } })).toBeUndefined();
    expect(against({ strength: 3 })).toEqual({});
    // A request decides for itself.
    expect(against({ attributes: { complexity: 4 }, against: {} })).toEqual({});
    expect(against({ attributes: { complexity: 4 }, against: { verbosity: 1 } })).toEqual({ verbosity: 1 });
    expect(against({ attributes: { complexity: 4 }, strength: 1 })).toBeUndefined();
  });

  it("is refused against what a preset bounds, or without strength", () => {
    const bounded = presetOf(undefined, { max: 2 });
    const against = { verbosity: 0 } as const;
    expect(() => guidanceOf({ strength: 2, against }, bounded, null)).toThrow(
      /steer\.against\.verbosity: the preset tutor bounds/,
    );
    expect(() => guidanceOf({ against }, null, null)).toThrow(/steer\.against: needs a steer\.strength above 1/);
  });
});

describe("a fan-out", () => {
  it("has the levels of each entry in place of the request's", () => {
    const request = {
      attributes: { verbosity: 1, humor: 2 },
      fan_out: [{}, { verbosity: 4 }, { humor: null, quality: 3 }],
    } as const;
    const choices = resolveFanOut(request, null, {}, UNTRAINED);
    expect(choices?.map(({ effective }) => effective)).toEqual([
      { verbosity: 1, humor: 2 },
      { verbosity: 4, humor: 2 },
      { verbosity: 1, quality: 3 },
    ]);
  });

  it("keeps each choice within the preset's bounds by itself", () => {
    const choices = resolveFanOut(
      { fan_out: [{ verbosity: 1 }, { verbosity: 4 }] },
      presetOf(0, { max: 2 }),
      {},
      UNTRAINED,
    );
    expect(choices).toMatchObject([
      { effective: { verbosity: 1 }, clamped: [] },
      {
        effective: { verbosity: 2 },
        clamped: [{ attribute: "verbosity", requested: 4, applied: 2, reason: "preset_max" }],
      },
    ]);
  });

  it("strengthens every choice that is steered", () => {
    const choices = resolveFanOut({ strength: 2, fan_out: [{ verbosity: 1 }, {}] }, null, {}, UNTRAINED);
    expect(choices?.map(({ guidance }) => guidance)).toEqual([{ strength: 2, against: {} }, undefined]);
  });

  it("is none where the request has none", () => {
    expect(resolveFanOut({ attributes: { humor: 1 } }, null, {}, UNTRAINED)).toBeUndefined();
  });
});
