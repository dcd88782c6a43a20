/** A mean in the making: of a loss over tokens, or of a share over pairs. */
type Measure = { sum: number; count: number };

/** What is measured of batches, by name. A batch that has none of something leaves it out. */
export type Measures = Record<string, Measure>;

/** Weight of what was before, a step: the running mean is about the last thirty steps. */
const KEPT = 0.97;

/** Both together. */
export function added(a: Measures, b: Measures): Measures {
  const sums: Measures = { ...a };
  for (const [name, { sum, count }] of Object.entries(b)) {
    const before = sums[name] ?? { sum: 0, count: 0 };
    sums[name] = { sum: before.sum + sum, count: before.count + count };
  }
  return sums;
}

/** The running measures after another step. */
export function ranOn(running: Measures, step: Measures): Measures {
  const faded = Object.entries(running).map(([name, { sum, count }]) => [
    name,
    { sum: sum * KEPT, count: count * KEPT },
  ]);
  return added(Object.fromEntries(faded), step);
}

/** The means, without those of nothing. */
export function meansOf(measures: Measures): Record<string, number> {
  return Object.fromEntries(
    Object.entries(measures).flatMap(([name, { sum, count }]) => (count > 0 ? [[name, sum / count]] : [])),
  );
}
