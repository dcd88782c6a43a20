/**
 * Divides rows among batches of rows of like length, each of at most `budget` tokens with its padding; a row that is longer than that is
 * alone. The longest come first, so that too little memory shows at once.
 *
 * @param lengths tokens of each row
 * @returns indexes into `lengths`, each once
 */
export function packRows(lengths: readonly number[], budget: number): number[][] {
  const order = lengths.map((_, index) => index).sort((a, b) => lengthOf(lengths, b) - lengthOf(lengths, a) || a - b);
  const batches: number[][] = [];
  for (const index of order) {
    const batch = batches.at(-1);
    const longest = lengthOf(lengths, batch?.[0] ?? index);
    if (batch !== undefined && longest * (batch.length + 1) <= budget) batch.push(index);
    else batches.push([index]);
  }
  return batches;
}

/** Tokens of batches with their padding. */
export function paddedTokens(lengths: readonly number[], batches: readonly (readonly number[])[]): number {
  return batches.reduce((sum, batch) => sum + batch.length * lengthOf(lengths, batch[0] ?? -1), 0);
}

const lengthOf = (lengths: readonly number[], index: number): number => lengths[index] ?? 0;
