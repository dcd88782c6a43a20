import {
  ATTRIBUTES,
  type Attribute,
  type AttributeLevels,
  areSameLevels,
  type Bound,
  type Bounds,
  clampLevel,
  LEVELS,
  type Level,
  oppositeOf,
  type RequestedLevels,
  type SteeringProfile,
} from "../../schema/attributes.ts";
import type { Calibration } from "../../schema/calibration.ts";
import type { Clamp, EffectiveSteering } from "../../schema/steering.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { type Calibrated, calibrate, type WishedLevel } from "./calibrate.ts";
import { decideLevel, type Wishes, wasAskedFor } from "./decide-level.ts";

/** What of a preset decides on levels. */
export type SteeringPreset = { slug: string; version: number | null; attributes: AttributeLevels; bounds: Bounds };

const NOTE_WORDS =
  "This model was not trained on attributes: it was only instructed in words, which it follows less reliably.";

const NOTE_UNCALIBRATED = "This model has no calibration: levels were asked for as they are.";

const noteOf = (attributes: readonly Attribute[]) =>
  `Asked for as ${attributes.length === 1 ? "it is" : "they are"}, for the model's calibration says nothing of use: ${attributes.join(", ")}.`;

/** A bound without content bounds nothing. */
function boundOf(bounds: Bounds | undefined, attribute: Attribute): Bound | undefined {
  const bound = bounds?.[attribute];
  return bound === undefined || Object.keys(bound).length === 0 ? undefined : bound;
}

/** What of a request decides on levels. */
export type SteeringRequest = {
  attributes?: RequestedLevels | undefined;
  strength?: number | undefined;
  against?: AttributeLevels | undefined;
  /** Whether levels are what answers should be measured to be. */
  calibrated?: boolean | undefined;
};

/** What of a model decides on levels. Without a profile it was not trained on attributes. */
export type SteeredModel = { profile: SteeringProfile | null; calibration: Calibration | null };

/** What of a request decides on the levels of each choice. */
export type FanOutRequest = SteeringRequest & { fan_out?: readonly RequestedLevels[] | undefined };

/**
 * How strongly to steer and away from what; `null` for plain steering. An attribute that preset or key bound cannot be steered
 * against: away from a low level is towards a high one. Away from the opposite of what is applied anyway is no such thing.
 *
 * @param effective levels that are applied
 * @throws AttuneError `invalid_request`
 */
function resolveGuidance(
  { attributes, strength, against }: SteeringRequest,
  preset: SteeringPreset | null,
  keyBounds: Bounds,
  profile: SteeringProfile | null,
  effective: AttributeLevels,
): EffectiveSteering["guidance"] | null {
  const applied = strength ?? profile?.strength ?? 1;
  const levels: AttributeLevels = {};
  for (const attribute of ATTRIBUTES) {
    const level = against?.[attribute];
    if (level === undefined) continue;
    const byPreset = preset !== null && boundOf(preset.bounds, attribute) !== undefined;
    if (byPreset || boundOf(keyBounds, attribute) !== undefined) {
      const who = byPreset ? `preset ${preset.slug}` : "key";
      throw new AttuneError(
        "invalid_request",
        `steer.against.${attribute}: the ${who} bounds ${attribute}, so it cannot be steered against. Leave it out.`,
        { param: `steer.against.${attribute}` },
      );
    }
    if (profile === null || profile.attributes.some((entry) => entry.name === attribute)) levels[attribute] = level;
  }
  if (applied > 1) {
    if (against !== undefined || profile?.against !== "opposite") return { strength: applied, against: levels };
    const asked = ATTRIBUTES.filter((name) => typeof (attributes?.[name] ?? preset?.attributes[name]) === "number");
    const opposite = oppositeOf(effective, asked);
    if (!areSameLevels(opposite, effective)) return { strength: applied, against: opposite };
    // Nothing was asked for that has an opposite: only who names a strength wants one then.
    return strength === undefined ? null : { strength, against: {} };
  }
  if (against === undefined || Object.keys(against).length === 0) return null;
  throw new AttuneError(
    "invalid_request",
    "steer.against: needs a steer.strength above 1, or there is nothing to steer away from.",
    {
      param: "steer.against",
    },
  );
}

/**
 * Effective steering = request ∩ preset ∩ key bounds, for a model with or without a steering profile.
 *
 * What the request leaves out takes the preset's level, then the profile's default. `null` leaves an attribute out, unless
 * preset or key bound it: then the preset's level, the default or the best behaviour within the bounds applies. Only what was asked
 * for and not given counts as clamped. Attributes the profile was not trained on do not reach the model. Strength is the request's,
 * then the profile's; with no level to steer by there is nothing to strengthen.
 *
 * A calibrated request's levels, and the preset's, are wishes: clamped as ever, then replaced by the levels within the bounds, and the
 * strength, that the model's calibration says give what is wished. A locked attribute stays what it is locked at.
 *
 * @throws AttuneError `invalid_request` where `against` cannot apply
 */
export function resolveSteering(
  request: SteeringRequest,
  preset: SteeringPreset | null,
  keyBounds: Bounds,
  { profile, calibration }: SteeredModel,
): EffectiveSteering {
  const requested = request.attributes ?? {};
  const effective: AttributeLevels = {};
  const clamped: Clamp[] = [];
  const notTrained: Attribute[] = [];
  const wished: WishedLevel[] = [];

  for (const attribute of ATTRIBUTES) {
    const trained = profile?.attributes.find((entry) => entry.name === attribute);
    const wishes: Wishes = {
      requested: requested[attribute],
      preset: preset?.attributes[attribute],
      default: trained?.default ?? null,
      presetBound: boundOf(preset?.bounds, attribute),
      keyBound: boundOf(keyBounds, attribute),
    };
    if (profile !== null && trained === undefined) {
      if (wasAskedFor(wishes)) notTrained.push(attribute);
      continue;
    }
    const { applied, clamp } = decideLevel(attribute, wishes);
    if (applied === null) continue;
    effective[attribute] = applied;
    const allowed = LEVELS.filter((level) => isAllowed(level, wishes));
    if (allowed.length > 1 && wasAskedFor(wishes)) wished.push({ attribute, level: applied, allowed });
    if (clamp !== null) clamped.push({ attribute, requested: clamp.requested, applied, reason: clamp.reason });
  }

  const method = Object.keys(effective).length === 0 ? "none" : profile === null ? "words" : "label_line";
  const calibrated =
    request.calibrated === true && calibration !== null && method === "label_line"
      ? calibrate(calibration, wished, effective)
      : null;
  const guidance =
    calibrated === null
      ? resolveGuidance(request, preset, keyBounds, profile, effective)
      : (calibrated.guidance ?? null);
  const notes = [
    method === "words" ? NOTE_WORDS : null,
    request.calibrated === true ? calibrationNote(calibration, wished, calibrated) : null,
  ].filter((note) => note !== null);
  return {
    effective: calibrated?.levels ?? effective,
    method,
    ...(guidance !== null && method !== "none" && { guidance }),
    ...(request.calibrated === true && { calibration: calibrated?.echo ?? {} }),
    preset: preset === null ? null : { slug: preset.slug, version: preset.version },
    clamped,
    not_trained: notTrained,
    note: notes.length === 0 ? null : notes.join(" "),
  };
}

/** Whether no bound would change a level. */
function isAllowed(level: Level, { presetBound, keyBound }: Wishes): boolean {
  const inPreset = presetBound === undefined ? level : clampLevel(level, presetBound);
  return (keyBound === undefined ? inPreset : clampLevel(inPreset, keyBound)) === level;
}

/** What a caller should know who asked for calibrated levels. */
function calibrationNote(
  calibration: Calibration | null,
  wished: readonly WishedLevel[],
  calibrated: Calibrated | null,
): string | null {
  if (calibration === null) return NOTE_UNCALIBRATED;
  const left = wished
    .map(({ attribute }) => attribute)
    .filter((attribute) => calibrated?.echo[attribute] === undefined);
  return left.length === 0 ? null : noteOf(left);
}

/**
 * Effective steering of each choice, every one by itself under the bounds of preset and key: the levels of its entry, and those of the
 * request where the entry has none. `undefined` where the request does not fan out.
 *
 * @throws AttuneError `invalid_request` where `against` cannot apply
 */
export function resolveFanOut(
  { fan_out, ...request }: FanOutRequest,
  preset: SteeringPreset | null,
  keyBounds: Bounds,
  model: SteeredModel,
): EffectiveSteering[] | undefined {
  return fan_out?.map((levels) =>
    resolveSteering({ ...request, attributes: { ...request.attributes, ...levels } }, preset, keyBounds, model),
  );
}
