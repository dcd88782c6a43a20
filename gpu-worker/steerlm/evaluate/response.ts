import { LEVELS, type Level } from "../../../schema/attributes.ts";
import { mean, spearman } from "../statistics/correlation.ts";
import { quantile } from "../statistics/quantile.ts";
import { fitLine } from "../statistics/regression.ts";
import { type Estimate, estimate } from "./estimate.ts";
import type { Measure, Measures } from "./measures.ts";
import type { Observed } from "./observations.ts";
import type { Response } from "./report-schema.ts";

/** What was observed at levels 0 to 4. */
export type ObservedLevels = readonly Observed[];

/** One value of a measure, with the level that was asked for. */
type Point = { level: Level; value: number };

/** Levels of which fewer say nothing of a trend. */
const FEWEST_LEVELS = 3;

const valuesOf = (samples: readonly Measures[] | undefined, measure: Measure): number[] =>
  (samples ?? []).flatMap((sample) => sample[measure] ?? []);

const promptsOf = (levels: ObservedLevels): string[] => [
  ...new Set(levels.flatMap((observed) => [...observed.keys()])),
];

function pointsOf(levels: ObservedLevels, prompt: string, measure: Measure): Point[] {
  return LEVELS.flatMap((level) =>
    valuesOf(levels[level]?.get(prompt), measure).map((value): Point => ({ level, value })),
  );
}

/** The points of each prompt that was answered at enough levels. */
function pointsByPrompt(levels: ObservedLevels, measure: Measure): Point[][] {
  return promptsOf(levels)
    .map((prompt) => pointsOf(levels, prompt, measure))
    .filter((points) => new Set(points.map(({ level }) => level)).size >= FEWEST_LEVELS);
}

const asked = (points: readonly Point[]) => points.map(({ level }) => level);
const measured = (points: readonly Point[]) => points.map(({ value }) => value);

/** A value that never changes obeys no level: its correlation is not defined, and counts as none. */
const rhoOf = (points: readonly Point[]): number => spearman(asked(points), measured(points)) ?? 0;

/** The mean at each level that has values. */
function meansOf(points: readonly Point[]): Point[] {
  return LEVELS.flatMap((level) => {
    const values = measured(points.filter((point) => point.level === level));
    return values.length === 0 ? [] : [{ level, value: mean(values) }];
  });
}

/** Share of neighbouring levels between which the mean rises. */
function risingShare(points: readonly Point[]): number {
  const means = meansOf(points);
  const rises = means.slice(1).filter(({ value }, index) => value > (means[index]?.value ?? value));
  return rises.length / (means.length - 1);
}

const slopeOf = (points: readonly Point[]): number => fitLine(asked(points), measured(points))?.slope ?? 0;

/** From the lowest to the highest level; `null` unless both ends are there. */
function rangeOf(points: readonly Point[]): number | null {
  const means = meansOf(points);
  const [low, high] = [means.find(({ level }) => level === 0), means.find(({ level }) => level === 4)];
  return low === undefined || high === undefined ? null : high.value - low.value;
}

/** How a measure went with the level asked for; `null` where it was measured of no prompt at enough levels. */
export function responseOf(levels: ObservedLevels, measure: Measure): Response | null {
  const prompts = pointsByPrompt(levels, measure);
  if (prompts.length === 0) return null;
  const all = prompts.flat();
  return {
    rho: estimate(prompts.map(rhoOf)),
    pooled_rho: spearman(asked(all), measured(all)),
    rising_pairs: estimate(prompts.map(risingShare)),
    rising_throughout: estimate(prompts.map((points) => (risingShare(points) === 1 ? 1 : 0))),
    slope: estimate(prompts.map(slopeOf)),
    range: estimate(prompts.flatMap((points) => rangeOf(points) ?? [])),
    levels: levels.map((observed) => ({ mean: meanOf(observed, measure), median: medianOf(observed, measure) })),
  };
}

/** The mean of a measure under one label line. */
export function meanOf(observed: Observed, measure: Measure): Estimate | null {
  const means = [...observed.values()]
    .map((samples) => valuesOf(samples, measure))
    .filter((values) => values.length > 0);
  return estimate(means.map(mean));
}

function medianOf(observed: Observed, measure: Measure): number | null {
  const values = [...observed.values()].flatMap((samples) => valuesOf(samples, measure)).sort((a, b) => a - b);
  return values.length === 0 ? null : quantile(values, 0.5);
}

/** How far levels were from those asked for, with `measure` in levels. */
export function accuracyOf(levels: ObservedLevels, measure: Measure) {
  const prompts = pointsByPrompt(levels, measure);
  const error = ({ level, value }: Point) => Math.abs(value - level);
  return {
    measure,
    slope: estimate(prompts.map(slopeOf)),
    mean_absolute_error: estimate(prompts.map((points) => mean(points.map(error)))),
    within_one: estimate(prompts.map((points) => shareOf(points, (point) => error(point) <= 1))),
  };
}

export const shareOf = <T>(items: readonly T[], has: (item: T) => boolean): number =>
  items.filter(has).length / items.length;

/** What the answers under one label line have more of than those under another, prompt by prompt. */
export function differenceOf(observed: Observed, from: Observed, measure: Measure): Estimate | null {
  const differences = [...observed].flatMap(([prompt, samples]) => {
    const [values, others] = [valuesOf(samples, measure), valuesOf(from.get(prompt), measure)];
    return values.length === 0 || others.length === 0 ? [] : [mean(values) - mean(others)];
  });
  return estimate(differences);
}

/** Share of each prompt's answers whose measure is at most one from `level`. */
export function withinOne(observed: Observed, measure: Measure, level: Level): Estimate | null {
  const shares = [...observed.values()]
    .map((samples) => valuesOf(samples, measure))
    .flatMap((values) => (values.length === 0 ? [] : [shareOf(values, (value) => Math.abs(value - level) <= 1)]));
  return estimate(shares);
}
