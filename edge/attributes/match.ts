import type { AttributeMatch, MatchedAttribute, MeasuredAttribute } from "../../schema/api/attributes.ts";
import type { ServedModel } from "../../schema/api/models.ts";
import {
  ATTRIBUTES,
  type Attribute,
  type Bound,
  type Bounds,
  clampLevel,
  LEVELS,
  type RequestedLevels,
} from "../../schema/attributes.ts";
import type { AttributeCalibration } from "../../schema/calibration.ts";
import type { Scored } from "../../schema/wire/score.ts";
import { askTogether, type Wish } from "../steering/calibrate.ts";

const NOT_TRAINED = "The model was not trained on it, so there is no use in asking for it.";
const LOCKED = "The key locks it, whatever is asked for.";
const NOT_FOLLOWED = "Answers of this model do not follow what is asked for, so there is no use in it.";
const NOT_MEASURED = "The model's calibration does not hold it: what is asked for is the level of the example itself.";

/** What is known of one attribute before all of them are asked for together. */
type Known = { attribute: Attribute; measured: MeasuredAttribute; bound: Bound };

/**
 * The levels to ask a model for so that its answers are as an example is: by the model's calibration those whose answers were measured to be
 * nearest to it, at one strength for all; without one the example's own. Within the key's bounds.
 */
export function matchExample(
  { attributes, statistics }: Scored,
  model: Pick<ServedModel, "id" | "profile" | "calibration">,
  keyBounds: Bounds,
): AttributeMatch {
  const known = ATTRIBUTES.flatMap((attribute): Known[] => {
    const measured = attributes[attribute];
    return measured === undefined ? [] : [{ attribute, measured, bound: keyBounds[attribute] ?? {} }];
  });
  const asked =
    model.calibration === null
      ? null
      : askTogether(
          known.flatMap((one) => wishOf(one, model)),
          model.calibration.default_strength,
        );
  const levels: RequestedLevels = {};
  const matched: AttributeMatch["attributes"] = {};
  for (const one of known) {
    const { attribute } = one;
    const match = matchOf(one, model, asked);
    matched[attribute] = match;
    if (match.ask !== null) levels[attribute] = match.ask;
  }
  return {
    object: "attribute_match",
    model: model.id,
    calibrated: asked !== null,
    steer: { attributes: levels, ...(asked !== null && { strength: asked.strength }) },
    attributes: matched,
    statistics,
  };
}

type Steered = Pick<ServedModel, "profile" | "calibration">;

const isTrained = (attribute: Attribute, { profile }: Steered) =>
  profile === null || profile.attributes.some(({ name }) => name === attribute);

/** The calibration of an attribute, where it counts in the same unit. */
function calibrationOf({ attribute, measured }: Known, { calibration }: Steered): AttributeCalibration | undefined {
  const own = calibration?.attributes[attribute];
  return own?.unit === measured.unit ? own : undefined;
}

/** That answers are measured to be what the example is: a wish in the calibration's own unit, for which it must not know what levels mean. */
function wishOf(one: Known, model: Steered): Wish[] {
  const known = calibrationOf(one, model);
  const allowed = LEVELS.filter((level) => clampLevel(level, one.bound) === level);
  if (known === undefined || allowed.length < 2 || !isTrained(one.attribute, model)) return [];
  const { edges: _, ...inUnit } = known;
  return [{ attribute: one.attribute, wish: one.measured.value, scale: "levels", calibration: inUnit, allowed }];
}

function matchOf(one: Known, model: Steered, asked: ReturnType<typeof askTogether>): MatchedAttribute {
  const { attribute, measured, bound } = one;
  const useless = (note: string): MatchedAttribute => ({ measured, ask: null, expected: null, rho: null, note });
  if (!isTrained(attribute, model)) return useless(NOT_TRAINED);
  if (LEVELS.filter((level) => clampLevel(level, bound) === level).length === 1) return useless(LOCKED);
  const known = calibrationOf(one, model);
  const request = asked?.levels[attribute];
  if (known === undefined || (known.steerable && request === undefined)) {
    const ask = clampLevel(measured.level, bound);
    return { measured, ask, expected: null, rho: null, note: model.calibration === null ? null : NOT_MEASURED };
  }
  const curve = known.curves.findLast(({ strength }) => strength <= (asked?.strength ?? 1)) ?? known.curves[0];
  const rho = curve?.rho ?? null;
  if (request === undefined) return { ...useless(NOT_FOLLOWED), rho };
  return { measured, ask: request.level, expected: request.expected, rho, note: null };
}
