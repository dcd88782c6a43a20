import type { z } from "zod";
import { measuredMeanSchema } from "../../../schema/calibration.ts";
import { seededRandom } from "../../engine/random.ts";
import { bootstrapInterval, type Interval } from "../statistics/bootstrap.ts";
import { mean } from "../statistics/correlation.ts";

/** A mean over prompts with its 95 % bootstrap interval. */
export const estimateSchema = measuredMeanSchema;
export type Estimate = z.infer<typeof estimateSchema>;

/** Reports are read by people, and a bootstrap is no surer than this. */
const DIGITS = 5;
const rounded = (value: number) => Number(value.toPrecision(DIGITS));

const RESAMPLES = 1000;

/** Uniform numbers, so many that a bootstrap over that many prompts takes; drawing them is most of its work. */
const drawn = new Map<number, Float64Array>();

/** The same numbers at each call: what is computed again is the same, and no two estimates differ by their draws. */
function replayed(prompts: number): () => number {
  const numbers = drawn.get(prompts) ?? Float64Array.from({ length: RESAMPLES * prompts }, seededRandom(0));
  drawn.set(prompts, numbers);
  let next = 0;
  return () => numbers[next++] ?? 0;
}

/** The interval of the mean; without draws where they could not differ. */
function intervalOf(values: readonly number[]): Interval | null {
  const [first = 0] = values;
  if (values.length > 1 && values.every((value) => value === first)) return { low: first, high: first };
  return bootstrapInterval(
    values.map((value) => [value]),
    mean,
    { random: replayed(values.length), resamples: RESAMPLES },
  );
}

/**
 * The mean over prompts. Prompts are what is drawn again for the interval: answers to one are not independent.
 *
 * @param values one for each prompt
 * @returns `null` without prompts
 */
export function estimate(values: readonly number[]): Estimate | null {
  if (values.length === 0) return null;
  const interval = intervalOf(values);
  return {
    value: rounded(mean(values)),
    low: interval === null ? null : rounded(interval.low),
    high: interval === null ? null : rounded(interval.high),
    n: values.length,
  };
}
