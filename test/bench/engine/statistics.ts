/** The value below which a share of the samples lies, interpolated between neighbours; NaN of no samples. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? below;
  return below + (above - below) * (position - Math.floor(position));
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** Median and the range the samples span. */
export type Spread = { median: number; min: number; max: number; samples: number };

export function spread(samples: readonly number[]): Spread {
  return {
    median: rounded(median(samples)),
    min: rounded(Math.min(...samples)),
    max: rounded(Math.max(...samples)),
    samples: samples.length,
  };
}

/**
 * Median of a/b over the rounds in which both were measured; `null` where there is none. Drift of the machine hits both sides of a
 * pair alike, so the ratio of neighbours says more than the ratio of two medians.
 */
export function pairedRatio(ours: readonly (number | null)[], theirs: readonly (number | null)[]): number | null {
  const ratios = ours.flatMap((value, round) => {
    const other = theirs[round] ?? null;
    return value === null || other === null ? [] : [value / other];
  });
  return ratios.length === 0 ? null : rounded(median(ratios));
}

/** Four significant digits: more would pretend. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
