/** A cut through values: all above `bar` are on its near side, and the first `ties` of those equal to it. */
export type Cutoff = { bar: number; ties: number };

const SLOTS = 1024;
/** Reused: the weight of the values in each slot, from the largest values down. */
const histogram = new Float64Array(SLOTS);

/**
 * Cuts so that the fewest and largest values are left that have the weight `wanted` together; of equals, earlier ones come first.
 *
 * In place of sorting, weights are added up in slots between the largest and the smallest value, then in slots of the slot in which
 * the cut falls, and so on until that holds equals only. The largest and the smallest never share a slot, so each round leaves less.
 *
 * @param values [count or more], finite.
 * @param weights [count or more], positive.
 */
export function cutoff(values: Float32Array, weights: Float64Array, count: number, wanted: number): Cutoff {
  let high = Number.NEGATIVE_INFINITY;
  let low = Number.POSITIVE_INFINITY;
  for (let index = 0; index < count; index++) {
    const value = values[index] ?? 0;
    if (value > high) high = value;
    if (value < low) low = value;
  }
  const lowest = low;
  let left = wanted;
  while (low < high) {
    const top = high;
    const bottom = low;
    const scale = (SLOTS - 1) / (top - bottom);
    histogram.fill(0);
    for (let index = 0; index < count; index++) {
      const value = values[index] ?? 0;
      if (value < bottom || value > top) continue;
      const slot = ((top - value) * scale) | 0;
      histogram[slot] = (histogram[slot] ?? 0) + (weights[index] ?? 0);
    }
    let edge = 0;
    for (; edge < SLOTS; edge++) {
      const weight = histogram[edge] ?? 0;
      if (weight >= left) break;
      left -= weight;
    }
    // All are wanted, or all but a rounding of their weight.
    if (edge === SLOTS) return { bar: lowest, ties: count };
    high = Number.NEGATIVE_INFINITY;
    low = Number.POSITIVE_INFINITY;
    for (let index = 0; index < count; index++) {
      const value = values[index] ?? 0;
      if (value < bottom || value > top || (((top - value) * scale) | 0) !== edge) continue;
      if (value > high) high = value;
      if (value < low) low = value;
    }
  }
  let ties = 0;
  for (let index = 0; index < count && left > 0; index++) {
    if (values[index] !== high) continue;
    left -= weights[index] ?? 0;
    ties++;
  }
  return { bar: high, ties };
}
