import type { Tokenizer } from "../../model/tokenizer.ts";

/** The mark that ends a sentence, with the quotes and brackets that close behind it. */
const SENTENCE_END = /[.!?…]+["'’”»)\]*_]*$/u;

/** Bytes that are looked at for a sentence's end. */
const LOOK_BACK = 32;

/**
 * How much each token of a reply counts: `sentenceEnd` after the end of a sentence or line, and where the reply ends, for there it is
 * decided how long the reply becomes (DESIGN §5); else 1.
 *
 * @param tokens a reply, of which the end marker may be the last
 */
export function tokenWeights(
  tokenizer: Tokenizer,
  tokens: readonly number[],
  endMarker: number,
  sentenceEnd: number,
): number[] {
  let before = Buffer.alloc(0);
  return tokens.map((token) => {
    const bytes = tokenizer.tokenBytes(token);
    const isDecision =
      token === endMarker || endsSentence(before.toString("utf8"), Buffer.from(bytes).toString("utf8"));
    before = Buffer.concat([before, bytes]).subarray(-LOOK_BACK);
    return isDecision ? sentenceEnd : 1;
  });
}

/** A full stop that text follows without white space, as in "3.14", ends nothing. */
const endsSentence = (before: string, next: string): boolean =>
  before.endsWith("\n") || (/^\s/u.test(next) && SENTENCE_END.test(before));
