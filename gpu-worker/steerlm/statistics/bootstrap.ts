import { quantile } from "./quantile.ts";

export type Interval = { low: number; high: number };

type BootstrapOptions = {
  /** Uniform on [0, 1). */
  random: () => number;
  resamples?: number;
  /** Share of the resamples that lie within the interval. */
  confidence?: number;
};

/**
 * The percentile interval of a statistic (Efron and Tibshirani 1993, chapter 13), by drawing whole groups with replacement: what comes from one
 * tree or one prompt is not independent.
 *
 * @param groups what was measured, by group
 * @param statistic `null` where it is not defined; such resamples are passed over
 * @returns `null` where there are fewer than two groups, or the statistic is undefined in half of the resamples or more.
 */
export function bootstrapInterval<T>(
  groups: readonly (readonly T[])[],
  statistic: (sample: T[]) => number | null,
  { random, resamples = 1000, confidence = 0.95 }: BootstrapOptions,
): Interval | null {
  if (groups.length < 2) return null;
  const values: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    const sample: T[] = [];
    for (let draw = 0; draw < groups.length; draw++) {
      for (const one of groups[Math.floor(random() * groups.length)] ?? []) sample.push(one);
    }
    const value = statistic(sample);
    if (value !== null) values.push(value);
  }
  if (values.length <= resamples / 2) return null;
  values.sort((a, b) => a - b);
  const tail = (1 - confidence) / 2;
  return { low: quantile(values, tail), high: quantile(values, 1 - tail) };
}
