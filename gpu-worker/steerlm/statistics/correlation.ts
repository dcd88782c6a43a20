/** Places from 1 on in rising order; equal values share the mean of theirs. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((value, index) => ({ value, index })).sort((a, b) => a.value - b.value);
  const ranked = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && order[end]?.value === order[start]?.value) end++;
    for (const { index } of order.slice(start, end)) ranked[index] = (start + 1 + end) / 2;
    start = end;
  }
  return ranked;
}

/** Of a spread that is not rounding. */
const RELATIVE_EPSILON = 1e-12;

/**
 * Pearson's r.
 *
 * @returns `null` where it is not defined: fewer than two pairs, or one side never changes.
 * @throws RangeError where the lists differ in length
 */
export function pearson(xs: readonly number[], ys: readonly number[]): number | null {
  if (xs.length !== ys.length) throw new RangeError(`${xs.length} values are to be correlated with ${ys.length}`);
  if (xs.length < 2) return null;
  const [meanX, meanY] = [mean(xs), mean(ys)];
  let [xx, yy, xy] = [0, 0, 0];
  for (const [index, x] of xs.entries()) {
    const [dx, dy] = [x - meanX, (ys[index] ?? 0) - meanY];
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  const isConstant = (squares: number, centre: number) =>
    squares <= (RELATIVE_EPSILON * Math.max(1, Math.abs(centre))) ** 2 * xs.length;
  if (isConstant(xx, meanX) || isConstant(yy, meanY)) return null;
  return Math.max(-1, Math.min(1, xy / Math.sqrt(xx) / Math.sqrt(yy)));
}

/** Spearman's ρ: Pearson's r of the ranks, so ties count as they should. @returns as {@link pearson} */
export const spearman = (xs: readonly number[], ys: readonly number[]): number | null => pearson(ranks(xs), ranks(ys));

/** NaN of an empty list. */
export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
