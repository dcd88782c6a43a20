import {
  ATTRIBUTES,
  type Attribute,
  type AttributeLevels,
  BEST_LEVELS,
  type Bound,
  type Bounds,
  clampLevel,
  type Level,
  type RequestedLevels,
  rangeOf,
  type SteeringProfile,
} from "../../schema/attributes.ts";
import type { Clamp, EffectiveSteering } from "../../schema/steering.ts";

/** What of a preset decides on levels. */
export type SteeringPreset = { slug: string; version: number; attributes: AttributeLevels; bounds: Bounds };

/** Everything that is known about one attribute of one request. `undefined`: nothing was said. */
type Wishes = {
  requested: Level | null | undefined;
  preset: Level | undefined;
  /** The profile's default; `null` leaves the attribute out. */
  default: Level | null;
  /** `undefined` where the preset leaves the attribute free. */
  bound: Bound | undefined;
};

const NOTE_WORDS =
  "This model was not trained on attributes: it was only instructed in words, which it follows less reliably.";

/** A bound without content bounds nothing. */
function boundOf(bounds: Bounds | undefined, attribute: Attribute): Bound | undefined {
  const bound = bounds?.[attribute];
  return bound === undefined || Object.keys(bound).length === 0 ? undefined : bound;
}

/** The level to apply, or `null` to leave the attribute out. */
function applyLevel(attribute: Attribute, { requested, preset, default: fallback, bound }: Wishes): Level | null {
  if (bound === undefined) return requested === undefined ? (preset ?? fallback) : requested;
  // A bounded attribute cannot be left out: that would leave it to the model.
  return clampLevel(requested ?? preset ?? fallback ?? BEST_LEVELS[attribute], bound);
}

/** Which bound kept a request from what it asked for. */
function reasonOf(bound: Bound, requested: Level | null): Clamp["reason"] {
  if (bound.locked !== undefined) return "preset_locked";
  if (requested === null) return bound.min === undefined ? "preset_max" : "preset_min";
  return requested < rangeOf(bound).min ? "preset_min" : "preset_max";
}

/** Whether caller or preset gave a level, as opposed to a default. */
function wasAskedFor({ requested, preset, bound }: Wishes): boolean {
  if (bound?.locked !== undefined || typeof requested === "number") return true;
  return preset !== undefined && (requested === undefined || bound !== undefined);
}

/**
 * Effective steering = request ∩ preset, for a model with or without a steering profile.
 *
 * What the request leaves out takes the preset's level, then the profile's default. `null` leaves an attribute out, unless the
 * preset bounds it: then the preset's level, the default or the bound's lower end applies. Only what was asked for and not given
 * counts as clamped. Attributes the profile was not trained on do not reach the model.
 */
export function resolveSteering(
  requested: RequestedLevels,
  preset: SteeringPreset | null,
  profile: SteeringProfile | null,
): EffectiveSteering {
  const effective: AttributeLevels = {};
  const clamped: Clamp[] = [];
  const notTrained: Attribute[] = [];

  for (const attribute of ATTRIBUTES) {
    const trained = profile?.attributes.find((entry) => entry.name === attribute);
    const wishes: Wishes = {
      requested: requested[attribute],
      preset: preset?.attributes[attribute],
      default: trained?.default ?? null,
      bound: boundOf(preset?.bounds, attribute),
    };
    if (profile !== null && trained === undefined) {
      if (wasAskedFor(wishes)) notTrained.push(attribute);
      continue;
    }
    const applied = applyLevel(attribute, wishes);
    if (applied === null) continue;
    effective[attribute] = applied;
    const { requested: asked, bound } = wishes;
    if (bound !== undefined && asked !== undefined && asked !== applied) {
      clamped.push({ attribute, requested: asked, applied, reason: reasonOf(bound, asked) });
    }
  }

  const method = Object.keys(effective).length === 0 ? "none" : profile === null ? "words" : "label_line";
  return {
    effective,
    method,
    preset: preset === null ? null : { slug: preset.slug, version: preset.version },
    clamped,
    not_trained: notTrained,
    note: method === "words" ? NOTE_WORDS : null,
  };
}
