/** y = intercept + slope · x. */
export type Line = { intercept: number; slope: number };

/**
 * The straight line with the least squared error.
 *
 * @param weights of the points; all alike without them
 * @returns a level one where x never changes; `null` where there are no points.
 * @throws RangeError where the lists differ in length
 */
export function fitLine(xs: readonly number[], ys: readonly number[], weights?: readonly number[]): Line | null {
  if (xs.length !== ys.length) throw new RangeError(`${xs.length} values cannot explain ${ys.length}`);
  if (xs.length === 0) return null;
  const weightOf = (index: number) => (weights === undefined ? 1 : (weights[index] ?? 0));
  let [total, sumX, sumY] = [0, 0, 0];
  for (const [index, x] of xs.entries()) {
    total += weightOf(index);
    sumX += weightOf(index) * x;
    sumY += weightOf(index) * (ys[index] ?? 0);
  }
  const [meanX, meanY] = [sumX / total, sumY / total];
  let [xx, xy] = [0, 0];
  for (const [index, x] of xs.entries()) {
    xx += weightOf(index) * (x - meanX) ** 2;
    xy += weightOf(index) * (x - meanX) * ((ys[index] ?? 0) - meanY);
  }
  const slope = xx === 0 ? 0 : xy / xx;
  return { intercept: meanY - slope * meanX, slope };
}

export const lineAt = ({ intercept, slope }: Line, x: number): number => intercept + slope * x;
