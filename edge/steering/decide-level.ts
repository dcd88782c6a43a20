import { type Attribute, BEST_LEVELS, type Bound, clampLevel, type Level, rangeOf } from "../../schema/attributes.ts";
import type { Clamp } from "../../schema/steering.ts";

/** Everything that is known about one attribute of one request. `undefined`: nothing was said. */
export type Wishes = {
  requested: Level | null | undefined;
  preset: Level | undefined;
  /** The profile's default; `null` leaves the attribute out. */
  default: Level | null;
  /** `undefined` where preset or key leave the attribute free. */
  presetBound: Bound | undefined;
  keyBound: Bound | undefined;
};

/** The level to apply, or `null` to leave the attribute out; with the bound that decided, where it is not what was asked for. */
export type LevelDecision = { applied: Level | null; clamp: Pick<Clamp, "requested" | "reason"> | null };

type Source = "preset" | "key";

/** Which end of the bound kept a level from being what it was asked to be; `null` asked to leave the attribute out. */
function reasonOf(source: Source, bound: Bound, asked: Level | null): Clamp["reason"] {
  if (bound.locked !== undefined) return `${source}_locked`;
  if (asked === null) return bound.min === undefined ? `${source}_max` : `${source}_min`;
  return asked < rangeOf(bound).min ? `${source}_min` : `${source}_max`;
}

/**
 * The level of one attribute: the request's, else the preset's, else the profile's default, clamped into the preset's bound and then
 * into the key's, which has the last word. A bounded attribute cannot be left out, for that would leave it to the model: where nobody
 * gives a level it takes the best behaviour within the bound.
 */
export function decideLevel(attribute: Attribute, wishes: Wishes): LevelDecision {
  const { requested, preset, default: fallback, presetBound, keyBound } = wishes;
  if (presetBound === undefined && keyBound === undefined) {
    return { applied: requested === undefined ? (preset ?? fallback) : requested, clamp: null };
  }
  const wanted = requested ?? preset ?? fallback ?? BEST_LEVELS[attribute];
  const inPreset = presetBound === undefined ? wanted : clampLevel(wanted, presetBound);
  const applied = keyBound === undefined ? inPreset : clampLevel(inPreset, keyBound);

  const asked = requested === undefined ? preset : requested;
  if (asked === undefined || asked === applied) return { applied, clamp: null };
  if (keyBound !== undefined && applied !== inPreset) {
    return { applied, clamp: { requested: asked, reason: reasonOf("key", keyBound, inPreset) } };
  }
  // Its own levels are within a preset's bounds, and the request asked for none: nobody to explain it to.
  if (requested === undefined) return { applied, clamp: null };
  if (presetBound !== undefined) {
    return { applied, clamp: { requested: asked, reason: reasonOf("preset", presetBound, asked) } };
  }
  return {
    applied,
    clamp: keyBound === undefined ? null : { requested: asked, reason: reasonOf("key", keyBound, asked) },
  };
}

/** Whether caller, preset or key gave a level, as opposed to a default. */
export function wasAskedFor({ requested, preset, presetBound, keyBound }: Wishes): boolean {
  if (presetBound?.locked !== undefined || keyBound?.locked !== undefined || typeof requested === "number") return true;
  return preset !== undefined && (requested === undefined || presetBound !== undefined || keyBound !== undefined);
}
