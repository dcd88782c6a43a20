import type { Level } from "./attributes.ts";
import type { AttributeCalibration, CalibrationCurve } from "./calibration.ts";
import { isotonicFit } from "./isotonic.ts";

/** Beyond it answers fall apart, whatever a curve promises. */
const MAX_CALIBRATED_STRENGTH = 3;

/** Of one, in which strengths between measured ones are tried: finer ones make no difference that could be measured. */
const STEPS_OF_STRENGTH = 10;

/** Of the differences compared: less is rounding, and no reason for another strength. */
const ROUNDING = 1e-9;

/** What a wished level means: its share of the way from what level 0 gives to what level 4 gives, or the level that would be measured. */
export type WishScale = "linear" | "levels";

/** What to ask the model for, and the value that its answers were measured to have then, in the calibration's unit. */
export type CalibratedRequest = { level: Level; strength: number; expected: number };

/** A level at one strength with the value it gives. */
type Step = { level: Level; strength: number; value: number };

/**
 * What to ask for so that answers come out as wished: the level and the strength whose calibrated value is nearest. Between measured strengths
 * values are taken to lie on a straight line. Where several are as near, the lowest strength is taken, and of its levels the nearest to the
 * wish. A higher wish never gets a lower expected value.
 *
 * @param wish 0–4, fractions too
 * @param strength the calibration's default: its curve says what levels 0 and 4 are on the linear scale
 * @returns `null` where the attribute does not follow its level, so that no level gives what is wished
 */
export function calibratedRequest(
  calibration: AttributeCalibration,
  wish: number,
  { scale, strength }: { scale: WishScale; strength: number },
): CalibratedRequest | null {
  const fits = calibration.curves.filter((curve) => curve.strength <= MAX_CALIBRATED_STRENGTH).map(fitOf);
  const first = fits[0];
  if (!calibration.steerable || first === undefined) return null;
  const target =
    scale === "levels"
      ? valueOfLevel(calibration, wish)
      : valueBetweenEnds(fits.findLast(({ strength: own }) => own <= strength) ?? first, wish);
  const candidates = [...fits.flatMap(({ steps }) => steps), ...stepsBetween(fits)];
  const tolerance = ROUNDING * Math.max(...candidates.map(({ value }) => Math.abs(value - target)));
  const error = ({ value }: Step) => Math.max(0, Math.abs(value - target) - tolerance);
  const order = (a: Step, b: Step) =>
    error(a) - error(b) || a.strength - b.strength || Math.abs(a.level - wish) - Math.abs(b.level - wish);
  const [best] = candidates.sort(order);
  return best === undefined ? null : { level: best.level, strength: best.strength, expected: best.value };
}

/** A curve made to rise: what is not measured to rise is noise, or not to be relied on. */
type Fit = { strength: number; steps: Step[] };

function fitOf({ strength, points }: CalibrationCurve): Fit {
  const values = isotonicFit(points.map(({ measured }) => ({ value: measured.value, weight: measured.n })));
  return {
    strength,
    steps: points.map(({ level, measured }, index) => ({ level, strength, value: values[index] ?? measured.value })),
  };
}

function valueBetweenEnds({ steps }: Fit, wish: number): number {
  const [low, high] = [steps[0]?.value ?? 0, steps.at(-1)?.value ?? 0];
  return low + (wish / 4) * (high - low);
}

/** The middle of a level's range of values, and in a straight line between two levels. The outer levels reach as far as their neighbours, but not below half of the first edge. */
function valueOfLevel({ edges }: AttributeCalibration, wish: number): number {
  if (edges === undefined) return wish;
  const [first, second, third, fourth] = edges;
  const middles = [
    Math.max(first - (second - first) / 2, first / 2),
    (first + second) / 2,
    (second + third) / 2,
    (third + fourth) / 2,
    fourth + (fourth - third) / 2,
  ];
  const below = Math.min(Math.max(Math.floor(wish), 0), 3);
  const [from, to] = [middles[below] ?? 0, middles[below + 1] ?? 0];
  return from + (wish - below) * (to - from);
}

/** Each level at the strengths between those that were measured. */
function stepsBetween(fits: readonly Fit[]): Step[] {
  return fits.slice(1).flatMap((stronger, index) =>
    stronger.steps.flatMap((to) => {
      const from = fits[index]?.steps.find(({ level }) => level === to.level);
      if (from === undefined) return [];
      const count = Math.ceil((to.strength - from.strength) * STEPS_OF_STRENGTH) - 1;
      return Array.from({ length: count }, (_, step): Step => {
        const strength = (Math.floor(from.strength * STEPS_OF_STRENGTH) + 1 + step) / STEPS_OF_STRENGTH;
        const share = (strength - from.strength) / (to.strength - from.strength);
        return { level: to.level, strength, value: from.value + share * (to.value - from.value) };
      });
    }),
  );
}
