const NUMBER = String.raw`\d+(?:\.\d*)?`;
const RATING = new RegExp(String.raw`\[\[(${NUMBER})\]\]`);
const RATING_FALLBACK = new RegExp(String.raw`\[(${NUMBER})\]`);

/** MT-Bench's rating: the first `[[5]]`, else the first `[5]`; `null` where the judge gave none. */
export function ratingOf(judgment: string): number | null {
  const [, rating] = RATING.exec(judgment) ?? RATING_FALLBACK.exec(judgment) ?? [];
  return rating === undefined ? null : Number(rating);
}

const FIRST_LINE = new RegExp(String.raw`^\s*\(?(${NUMBER})\s*[,\s]\s*(${NUMBER})\)?\s*$`);
const TUPLE = new RegExp(String.raw`\((${NUMBER}),\s*(${NUMBER})\)`, "g");

/**
 * Vicuna's two scores: the first line if it holds two numbers and nothing else, as the judge is told; else the last tuple `(8, 7)`, which
 * is what its prompt for mathematics asks for. `null` where there is neither.
 */
export function scorePairOf(review: string): [number, number] | null {
  const line = review.trimStart().split("\n")[0] ?? "";
  const [, first, second] = FIRST_LINE.exec(line) ?? [...review.matchAll(TUPLE)].at(-1) ?? [];
  return first === undefined || second === undefined ? null : [Number(first), Number(second)];
}

/**
 * AlpacaEval's preference for the answer called `M`, 0–1, by the log-probabilities of the judge's one token; `null` where it says
 * neither name.
 */
export function preferenceOf(firstToken: readonly { token: string; logprob: number }[]): number | null {
  const probability = (name: string) => {
    const found = firstToken.find(({ token }) => token === name);
    return found === undefined ? 0 : Math.exp(found.logprob);
  };
  const [first, second] = [probability("m"), probability("M")];
  return first + second === 0 ? null : second / (first + second);
}
