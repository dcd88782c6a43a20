const WORD = /[\p{L}\p{N}]+/gu;

/** Runs of `size` words, in order. */
function runsOf(text: string, size: number): string[] {
  const words = text.toLowerCase().match(WORD) ?? [];
  return Array.from({ length: Math.max(0, words.length - size + 1) }, (_, at) => words.slice(at, at + size).join(" "));
}

/** Share of runs of `size` words that are the first of their kind (distinct-n, Li et al. 2016), 1 without repetition. @returns `null` in shorter texts */
export function distinctShare(text: string, size: number): number | null {
  const runs = runsOf(text, size);
  return runs.length === 0 ? null : new Set(runs).size / runs.length;
}
