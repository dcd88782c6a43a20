import { type Attribute, LEVELS } from "../../../schema/attributes.ts";
import type { AttributeCalibration, Calibration, CalibrationCurve } from "../../../schema/calibration.ts";
import { mean } from "../statistics/correlation.ts";
import { unitOf } from "./measures.ts";
import type { Report, SweepReport } from "./report-schema.ts";

/** From here on answers are said to follow their level. */
const STEERABLE_RHO = 0.3;

/** Strengths that may be the default. */
const MAX_DEFAULT_STRENGTH = 2.5;

/** What a strength may cost against plain steering, mean over sweeps: levels of quality, and share of repeated runs of four words. */
const MAX_QUALITY_COST = 0.15;
const MAX_REPETITION_COST = 0.05;

/** What a higher strength must gain in ρ: less is within what forty prompts can tell, and the lower one changes answers less. */
const MIN_GAIN = 0.02;

const RULE =
  `Of the strengths up to ${MAX_DEFAULT_STRENGTH} that cost at most ${MAX_QUALITY_COST} levels of quality, as an attribute prediction model ` +
  `reads them, and ${MAX_REPETITION_COST} more of repeated runs of four words than the lowest strength, mean over all sweeps and levels: the ` +
  `lowest whose rho within prompts, mean over the attributes, is within ${MIN_GAIN} of the highest. Of quality nothing is known where no such model was asked. ` +
  `An attribute is steerable where rho at that strength is ${STEERABLE_RHO} or more and its 95 % interval lies above 0.`;

const adapterSweeps = ({ sweeps }: Report): SweepReport[] => sweeps.filter(({ system }) => system === "adapter");

const decidingResponse = ({ deciding, measures }: SweepReport) => (deciding === null ? undefined : measures[deciding]);

/**
 * The calibration that reports of one adapter give: the first decides on the default strength, and the others add attributes that the ones before
 * them do not have.
 *
 * @throws Error that says what is missing where they give none
 */
export function calibrationOf(report: Report, ...others: readonly Report[]): Calibration {
  const { evaluation, prompts } = report;
  for (const one of [report, ...others]) checkComplete(one);
  const defaultStrength = defaultStrengthOf(report);
  const attributes: Calibration["attributes"] = {};
  for (const one of [report, ...others]) {
    for (const attribute of one.evaluation.attributes) {
      const calibration = attributeCalibration(one, attribute, defaultStrength);
      if (calibration !== null) attributes[attribute] ??= calibration;
    }
  }
  if (Object.keys(attributes).length === 0) {
    throw new Error("No attribute could be measured. Evaluate with a --judge, or verbosity or complexity.");
  }
  const { model, adapter, temperature, min_p, max_tokens } = evaluation.answering;
  const { samples, against } = evaluation;
  return {
    version: 1,
    model,
    adapter,
    default_strength: defaultStrength,
    rule: RULE,
    method: { prompts, samples, temperature, min_p, max_tokens, against },
    attributes,
    leakage: report.leakage
      .filter(({ system }) => system === "adapter")
      .map(({ strength, rows, columns, slope }) => ({ strength, rows, columns, slope })),
  };
}

function checkComplete({ answers, asked }: Report): void {
  if (answers === asked) return;
  throw new Error(
    `There are ${answers} of ${asked} answers. Let the evaluation end: the command that began it goes on with it.`,
  );
}

/** The strength that obeys best among those that cost little. */
export function defaultStrengthOf(report: Report): number {
  const strengths = [...new Set(adapterSweeps(report).map(({ strength }) => strength))].sort((a, b) => a - b);
  const [lowest = 1] = strengths;
  const before = costsOf(report, lowest);
  const affordable = strengths.filter((strength) => {
    const { quality, repetition } = costsOf(report, strength);
    const lost = quality === null || before.quality === null ? 0 : before.quality - quality;
    return (
      strength <= MAX_DEFAULT_STRENGTH &&
      lost <= MAX_QUALITY_COST &&
      repetition - before.repetition <= MAX_REPETITION_COST
    );
  });
  const rho = new Map(affordable.map((strength) => [strength, meanRho(report, strength)]));
  const enough = Math.max(...rho.values()) - MIN_GAIN;
  return affordable.find((strength) => (rho.get(strength) ?? 0) >= enough) ?? lowest;
}

function meanRho(report: Report, strength: number): number {
  const rhos = adapterSweeps(report).flatMap((sweep) =>
    sweep.strength === strength ? (decidingResponse(sweep)?.rho?.value ?? []) : [],
  );
  return rhos.length === 0 ? 0 : mean(rhos);
}

/** Quality and repetition of a strength's answers, mean over sweeps and levels. A sweep of quality itself is no cost. */
function costsOf(report: Report, strength: number): { quality: number | null; repetition: number } {
  const { quality_measure } = report;
  const sweeps = adapterSweeps(report).filter((sweep) => sweep.strength === strength && sweep.attribute !== "quality");
  const values = (measure: SweepReport["deciding"]) =>
    measure === null
      ? []
      : sweeps.flatMap(({ measures }) => measures[measure]?.levels.flatMap((level) => level.mean?.value ?? []) ?? []);
  const [quality, repetition] = [values(quality_measure), values("repeated_4grams")];
  return {
    quality: quality.length === 0 ? null : mean(quality),
    repetition: repetition.length === 0 ? 0 : mean(repetition),
  };
}

function attributeCalibration(
  { evaluation, sweeps }: Report,
  attribute: Attribute,
  defaultStrength: number,
): AttributeCalibration | null {
  const own = sweeps.filter((sweep) => sweep.system === "adapter" && sweep.attribute === attribute);
  const [first] = own;
  const curves = own.flatMap((sweep) => curveOf(sweep) ?? []).sort((a, b) => a.strength - b.strength);
  if (first === undefined || first.deciding === null || curves.length === 0) return null;
  const rho = curves.find(({ strength }) => strength === defaultStrength)?.rho;
  if (rho === undefined) {
    throw new Error(
      `Nothing is known of ${attribute} at the default strength, ${defaultStrength}. Evaluate it with --strengths ${defaultStrength} too.`,
    );
  }
  const edges = attribute === "verbosity" || attribute === "complexity" ? evaluation.scale[attribute] : undefined;
  return {
    steerable: rho.value >= STEERABLE_RHO && (rho.low ?? 0) > 0,
    unit: unitOf(attribute),
    measured_by: first.deciding,
    ...(edges && { edges }),
    held: first.held,
    curves,
  };
}

function curveOf(sweep: SweepReport): CalibrationCurve | null {
  const response = decidingResponse(sweep);
  const points = LEVELS.flatMap((level) => {
    const measured = response?.levels[level]?.mean ?? null;
    return measured === null ? [] : [{ level, measured }];
  });
  const rho = response?.rho ?? null;
  return rho === null || points.length < 2 ? null : { strength: sweep.strength, rho, points };
}
