/**
 * The value below which a share of a distribution lies, in a straight line between the two nearest (R's type 7, NumPy's default).
 *
 * @param sorted in rising order
 * @param share 0–1
 * @throws RangeError where there are no values
 */
export function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)];
  const above = sorted[Math.ceil(place)];
  if (below === undefined || above === undefined)
    throw new RangeError(`No quantile ${share} of ${sorted.length} values`);
  return below + (above - below) * (place - Math.floor(place));
}
