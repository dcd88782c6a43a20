import { cuss } from "cuss";

/** Rated by the list as unlikely to be anything but profane. */
const SURE = 2;

const SURELY_PROFANE = new Set(Object.keys(cuss).filter((word) => cuss[word] === SURE));

const WORD = /\p{L}+/gu;

/** Share of a text's words that are profane whatever the context, 0–1. A lexicon sees no insult made of clean words. @returns `null` without words */
export function profanityShare(text: string): number | null {
  const words = text.toLowerCase().match(WORD) ?? [];
  if (words.length === 0) return null;
  return words.filter((word) => SURELY_PROFANE.has(word)).length / words.length;
}
