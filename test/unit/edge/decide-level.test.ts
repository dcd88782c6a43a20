import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideLevel } from "../../../edge/steering/decide-level.ts";
import { resolveSteering } from "../../../edge/steering/resolve.ts";
import { type Bound, clampLevel, LEVELS, type Level, rangeOf } from "../../../schema/attributes.ts";

/** asked: `-` nothing, `null` to leave it out; clamp: what counts as asked and the reason, or `-`. The default is 3. */
const TRUTH_TABLE: [
  asked: Level | null | "-",
  preset: Level | "-",
  presetBound: Bound | "-",
  keyBound: Bound | "-",
  applied: Level | null,
  clamp: [Level | null, string] | "-",
][] = [
  // A key without a bound changes nothing.
  [4, "-", "-", "-", 4, "-"],
  ["-", "-", "-", "-", 3, "-"],
  [4, "-", { max: 2 }, "-", 2, [4, "preset_max"]],
  // The key's bound clamps what was asked for, and says so.
  [4, "-", "-", { max: 2 }, 2, [4, "key_max"]],
  [0, "-", "-", { min: 1 }, 1, [0, "key_min"]],
  [4, "-", "-", { locked: 0 }, 0, [4, "key_locked"]],
  [0, "-", "-", { locked: 0 }, 0, "-"],
  [2, "-", "-", { min: 1, max: 3 }, 2, "-"],
  // A default is clamped silently: nobody asked for it.
  ["-", "-", "-", { max: 2 }, 2, "-"],
  ["-", "-", "-", { locked: 0 }, 0, "-"],
  // It cannot be left out.
  [null, "-", "-", { max: 2 }, 2, [null, "key_max"]],
  [null, "-", "-", { min: 4 }, 4, [null, "key_min"]],
  [null, "-", "-", { locked: 0 }, 0, [null, "key_locked"]],
  // A preset asks too, by its own level.
  ["-", 4, "-", { max: 2 }, 2, [4, "key_max"]],
  ["-", 4, { locked: 4 }, { max: 2 }, 2, [4, "key_max"]],
  ["-", 2, { max: 2 }, { max: 2 }, 2, "-"],
  // Both bound: whoever moved the level last is the reason, and the key has the last word.
  [4, "-", { max: 2 }, { max: 3 }, 2, [4, "preset_max"]],
  [4, "-", { max: 2 }, { max: 2 }, 2, [4, "preset_max"]],
  [4, "-", { max: 3 }, { max: 1 }, 1, [4, "key_max"]],
  [0, "-", { min: 1 }, { min: 2 }, 2, [0, "key_min"]],
  [4, "-", { locked: 3 }, { locked: 0 }, 0, [4, "key_locked"]],
  [0, "-", { locked: 3 }, { locked: 0 }, 0, "-"],
  [0, "-", { min: 3 }, { max: 1 }, 1, [0, "key_max"]],
  [null, 2, { max: 3 }, { max: 3 }, 2, [null, "preset_max"]],
  [null, 2, { max: 3 }, { max: 1 }, 1, [null, "key_max"]],
];

const UNTRAINED = { profile: null, calibration: null };

describe("a level between preset and key", () => {
  it.each(TRUTH_TABLE)(
    "asked %j, preset %j within %j, key bound %j: applies %j, clamp %j",
    (asked, preset, presetBound, keyBound, applied, clamp) => {
      const decision = decideLevel("verbosity", {
        requested: asked === "-" ? undefined : asked,
        preset: preset === "-" ? undefined : preset,
        default: 3,
        presetBound: presetBound === "-" ? undefined : presetBound,
        keyBound: keyBound === "-" ? undefined : keyBound,
      });
      expect(decision).toEqual({
        applied,
        clamp: clamp === "-" ? null : { requested: clamp[0], reason: clamp[1] },
      });
    },
  );

  it("is always within the key's bound, and within the preset's where the two leave a level", () => {
    const level = fc.constantFrom(...LEVELS);
    const bound: fc.Arbitrary<Bound> = fc.oneof(
      level.map((locked) => ({ locked })),
      fc.tuple(level, level).map(([a, b]) => (a < b ? { min: a, max: b } : { min: b, max: a })),
      level.map((min) => ({ min })),
    );
    const requested = fc.option(fc.option(level), { nil: undefined });
    const preset = fc.option(level, { nil: undefined });
    fc.assert(
      fc.property(requested, preset, fc.option(level), bound, bound, (asked, own, fallback, presetBound, keyBound) => {
        const wishes = { requested: asked, preset: own, default: fallback, presetBound, keyBound };
        const { applied } = decideLevel("verbosity", wishes);
        expect(applied).not.toBeNull();
        if (applied === null) return;
        expect(clampLevel(applied, keyBound)).toBe(applied);
        const [inner, outer] = [rangeOf(presetBound), rangeOf(keyBound)];
        const meet = inner.min <= outer.max && outer.min <= inner.max;
        if (meet) expect(clampLevel(applied, presetBound)).toBe(applied);
      }),
    );
  });
});

describe("a key's bounds", () => {
  const locked = { toxicity: { locked: 0 } } as const;

  it("hold for whatever model, steered in words too", () => {
    const steering = resolveSteering({ attributes: { toxicity: 4, humor: 1 } }, null, locked, UNTRAINED);
    expect(steering).toMatchObject({
      effective: { toxicity: 0, humor: 1 },
      method: "words",
      clamped: [{ attribute: "toxicity", requested: 4, applied: 0, reason: "key_locked" }],
    });
  });

  it("are reported where the model was not trained on what they lock", () => {
    const profile = { template: "chatml", attributes: [{ name: "humor", default: 1 }] } as const;
    const steering = resolveSteering({}, null, locked, {
      profile: { ...profile, attributes: [...profile.attributes] },
      calibration: null,
    });
    expect(steering).toMatchObject({ effective: { humor: 1 }, not_trained: ["toxicity"], clamped: [] });
  });

  it("forbid steering against what they bound", () => {
    const request = { attributes: { humor: 1 }, strength: 2, against: { toxicity: 0 } } as const;
    expect(() => resolveSteering(request, null, locked, UNTRAINED)).toThrow(
      /steer\.against\.toxicity: the key bounds toxicity/,
    );
  });
});
