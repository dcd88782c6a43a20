import type { Spelling, Vocabulary } from "./vocabulary.ts";

/** U+2581, which stands for a space in SentencePiece's tokens. */
const SPACE_MARK = "▁";

/** Text as the merges of a SentencePiece vocabulary know it. `isFirst`: the text begins the prompt. */
export function withSpaceMarks(
  text: string,
  { prefix, prefixesSpace }: Extract<Spelling, { kind: "sentencepiece" }>,
  isFirst: boolean,
): string {
  const marked = text.replaceAll(" ", SPACE_MARK);
  if (prefix === "none" || (prefix === "first" && !isFirst)) return marked;
  return prefixesSpace || !marked.startsWith(SPACE_MARK) ? SPACE_MARK + marked : marked;
}

/** Cuts before each ▁ that does not follow another. */
const WORDS = `${SPACE_MARK}+[^${SPACE_MARK}]*|[^${SPACE_MARK}]+`;

/**
 * How text may be cut before merging without changing what comes of it: where no token goes on behind a space, no merge does. Words that
 * were met before need not be merged again (a megabyte of one repeated sentence: 1.3 s instead of 4.7). `null` where a token does go on.
 */
export function wordPattern(tokens: Vocabulary["tokens"]): string | null {
  const crosses = new RegExp(`[^${SPACE_MARK}]${SPACE_MARK}`);
  return tokens.some(({ text, kind }) => kind === "text" && crosses.test(text)) ? null : WORDS;
}

const encoder = new TextEncoder();

/** The bytes of a token that spells text. */
export const unmarkedBytes = (token: string): Uint8Array => encoder.encode(token.replaceAll(SPACE_MARK, " "));

/**
 * The byte that a byte token like `<0xE2>` stands for.
 *
 * @throws Error where it is not written like that
 */
export function byteOf(token: string): Uint8Array {
  const [, digits] = /^<0x([0-9A-F]{2})>$/.exec(token) ?? [];
  if (digits === undefined) throw new Error(`The byte token ${token} is not written like <0xE2>.`);
  return Uint8Array.of(Number.parseInt(digits, 16));
}

/**
 * A SentencePiece vocabulary's scores as merges: the piece of the highest score is formed first, from any two pieces that make it up.
 * The order is that of transformers' conversion (`generate_merges`).
 *
 * @throws Error where the scores are not one a token
 */
export function mergesByScore(tokens: Vocabulary["tokens"], scores: number[]): [string, string][] {
  if (scores.length !== tokens.length) throw new Error("tokenizer.ggml.tokens and scores differ in length.");
  const ids = new Map<string, number>();
  for (const [id, { text, kind }] of tokens.entries()) if (kind === "text") ids.set(text, id);
  const merges: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [text, id] of ids) {
    const score = scores[id] ?? 0;
    let at = 0;
    for (const character of text) {
      at += character.length;
      const left = ids.get(text.slice(0, at));
      const right = ids.get(text.slice(at));
      if (left === undefined || right === undefined) continue;
      merges.push({ pair: [text.slice(0, at), text.slice(at)], score, left, right });
    }
  }
  return merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right).map(({ pair }) => pair);
}
