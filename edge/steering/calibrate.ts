import {
  ATTRIBUTES,
  type Attribute,
  type AttributeLevels,
  LEVELS,
  type Level,
  oppositeOf,
} from "../../schema/attributes.ts";
import { type CalibratedRequest, calibratedRequest, type WishScale } from "../../schema/calibrated-steering.ts";
import type { AttributeCalibration, Calibration } from "../../schema/calibration.ts";
import type { EffectiveSteering } from "../../schema/steering.ts";

/** What is wished of one attribute, on a scale of its calibration, and the levels that may be asked for. */
export type Wish = {
  attribute: Attribute;
  wish: number;
  scale: WishScale;
  calibration: AttributeCalibration;
  allowed: readonly Level[];
};

/** What to ask for, of all attributes at one strength: a label line has no more than one. */
export type Asked = { strength: number; levels: Partial<Record<Attribute, CalibratedRequest>> };

/**
 * What to ask for so that answers come out as wished, in all attributes together. Where each by itself would take another strength, that of
 * the measured strengths is taken at which all of them come nearest to what each could get, as shares of its range; the lower of two alike.
 * Wishes of attributes that do not follow their level are left out.
 *
 * @param strength the calibration's default
 * @returns `null` where nothing follows, or there is no strength that all of them were measured at
 */
export function askTogether(wishes: readonly Wish[], strength: number): Asked | null {
  const alone = wishes.flatMap((wish) => {
    const best = askAlone(wish, strength);
    return best === null ? [] : [{ ...wish, best }];
  });
  const [first, ...others] = alone;
  if (first === undefined) return null;
  if (others.every(({ best }) => best.strength === first.best.strength)) {
    return askedAt(
      first.best.strength,
      alone.map(({ attribute, best }) => [attribute, best]),
    );
  }
  const strengths = new Set(alone.flatMap(({ calibration }) => calibration.curves.map((curve) => curve.strength)));
  let nearest: { asked: Asked; error: number } | null = null;
  for (const candidate of [...strengths].sort((a, b) => a - b)) {
    const requests: [Attribute, CalibratedRequest][] = [];
    let error = 0;
    for (const { attribute, best, ...wish } of alone) {
      const request = nearestTo(best.expected, wish, candidate);
      if (request === null) break;
      requests.push([attribute, request]);
      error += Math.abs(request.expected - best.expected) / rangeOf(wish.calibration);
    }
    if (requests.length < alone.length || (nearest !== null && error >= nearest.error - ROUNDING)) continue;
    nearest = { asked: askedAt(candidate, requests), error };
  }
  return nearest?.asked ?? null;
}

/** Less is no reason for a higher strength. */
const ROUNDING = 1e-9;

/** What one attribute would be asked for if it were the only one. Bounds leave the wish what it is. */
function askAlone(
  { calibration, wish, scale, allowed }: Omit<Wish, "attribute">,
  strength: number,
): CalibratedRequest | null {
  const free = calibratedRequest(calibration, wish, { scale, strength });
  if (free === null || allowed.length === LEVELS.length) return free;
  return nearestTo(free.expected, { calibration, allowed });
}

/**
 * What comes nearest to a value in the calibration's unit.
 *
 * @param strength the only one to be asked; any where it is left out
 */
function nearestTo(
  value: number,
  { calibration, allowed }: Pick<Wish, "calibration" | "allowed">,
  strength?: number,
): CalibratedRequest | null {
  const { edges: _, curves, ...rest } = calibration;
  const limited = curves
    .filter((curve) => strength === undefined || curve.strength === strength)
    .map((curve) => ({ ...curve, points: curve.points.filter(({ level }) => allowed.includes(level)) }));
  return calibratedRequest({ ...rest, curves: limited }, value, { scale: "levels", strength: 1 });
}

function askedAt(strength: number, requests: [Attribute, CalibratedRequest][]): Asked {
  const levels: Asked["levels"] = {};
  for (const [attribute, request] of requests) levels[attribute] = request;
  return { strength, levels };
}

/** How far measured values reach; 1 where they are all the same. */
function rangeOf({ curves }: AttributeCalibration): number {
  const values = curves.flatMap(({ points }) => points.map(({ measured }) => measured.value));
  return Math.max(...values) - Math.min(...values) || 1;
}

/** A level that was wished, and those that may be asked for. */
export type WishedLevel = { attribute: Attribute; level: Level; allowed: readonly Level[] };

/** What becomes of wishes by a calibration. `levels` replace those wished; what is not in `echo` is asked for as it is. */
export type Calibrated = {
  levels: AttributeLevels;
  guidance: EffectiveSteering["guidance"];
  echo: NonNullable<EffectiveSteering["calibration"]>;
};

/**
 * The levels to ask for, so that answers are measured to be as wished.
 *
 * @param effective all levels that would be asked for without calibration
 * @returns `null` where the calibration says nothing about what is wished
 */
export function calibrate(
  calibration: Calibration,
  wished: readonly WishedLevel[],
  effective: AttributeLevels,
): Calibrated | null {
  const wishes = wished.flatMap(({ attribute, level, allowed }): Wish[] => {
    const known = calibration.attributes[attribute];
    if (known === undefined) return [];
    // A small prediction model's readings are flatter than the levels that it learnt: of 0–4 it may never read a 4.
    const scale = known.edges === undefined ? "linear" : "levels";
    return [{ attribute, wish: level, scale, calibration: known, allowed }];
  });
  const asked = askTogether(wishes, calibration.default_strength);
  if (asked === null) return null;
  const levels: AttributeLevels = {};
  const others: AttributeLevels = {};
  const echo: Calibrated["echo"] = {};
  for (const attribute of ATTRIBUTES) {
    const request = asked.levels[attribute];
    const before = effective[attribute];
    if (before === undefined) continue;
    levels[attribute] = request?.level ?? before;
    const unit = calibration.attributes[attribute]?.unit;
    if (request === undefined || unit === undefined) others[attribute] = before;
    else echo[attribute] = { wished: before, asked: request.level, expected: request.expected, unit };
  }
  // As it was measured.
  const swept = ATTRIBUTES.filter((attribute) => echo[attribute] !== undefined);
  const against = { unsteered: {}, held: others, opposite: oppositeOf(levels, swept) }[calibration.method.against];
  return { levels, guidance: asked.strength > 1 ? { strength: asked.strength, against } : undefined, echo };
}
