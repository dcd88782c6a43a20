export type Weighted = { value: number; weight: number };

/**
 * The never falling sequence with the least weighted squared distance from `points`, by pooling adjacent violators (Barlow et al. 1972).
 *
 * @returns one value for each point
 */
export function isotonicFit(points: readonly Weighted[]): number[] {
  const blocks: (Weighted & { length: number })[] = [];
  for (const point of points) {
    let block = { ...point, length: 1 };
    for (let last = blocks.at(-1); last !== undefined && last.value >= block.value; last = blocks.at(-1)) {
      blocks.pop();
      const weight = last.weight + block.weight;
      const value = (last.value * last.weight + block.value * block.weight) / weight;
      block = { value, weight, length: last.length + block.length };
    }
    blocks.push(block);
  }
  return blocks.flatMap(({ value, length }) => new Array<number>(length).fill(value));
}
