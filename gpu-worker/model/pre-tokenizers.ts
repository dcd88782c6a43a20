/** How text is cut into words before merging, for one value of GGUF's `tokenizer.ggml.pre`. */
export type PreTokenizer = {
  /** Applied one after the other; each cuts the pieces of the one before. */
  patterns: string[];
  /** A word that is itself a token is taken whole, without merging. */
  ignoreMerges: boolean;
  /** Whether a prompt starts with the begin-of-text token where the file does not say. */
  addBos: boolean;
};

/**
 * llama.cpp and Rust mean Unicode's White_Space by `\s`; JavaScript's `\s` has U+FEFF more and U+0085 less. `\p{N}` and `\p{L}`
 * are the same everywhere.
 */
const SPACE = "\\p{White_Space}";
const NO_SPACE = "\\P{White_Space}";

/** A pattern that was written for Rust or C++, with the spaces it means there. */
export const withUnicodeSpaces = (pattern: string): string =>
  pattern.replaceAll(/\\([\s\S])/g, (escaped, letter: string) =>
    letter === "s" ? SPACE : letter === "S" ? NO_SPACE : escaped,
  );

/** How GPT-2 cuts words. */
export const GPT2_WORDS = `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|${SPACE}+(?!${NO_SPACE})|${SPACE}+`;

const llama3 = (digits: string) =>
  "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|" +
  `[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^${SPACE}\\p{L}\\p{N}]+[\\r\\n]*|${SPACE}*[\\r\\n]+|` +
  `${SPACE}+(?!${NO_SPACE})|${SPACE}+`;

/** After llama.cpp's `llm_tokenizer_bpe`; each was compared with it on test/fixtures/tokenizer-corpus.json. */
const PRE_TOKENIZERS = new Map<string, PreTokenizer>([
  ["smollm", { patterns: ["\\p{N}", GPT2_WORDS], ignoreMerges: false, addBos: false }],
  ["gpt-2", { patterns: [GPT2_WORDS], ignoreMerges: false, addBos: false }],
  ["llama-bpe", { patterns: [llama3("\\p{N}{1,3}")], ignoreMerges: true, addBos: true }],
  ["qwen2", { patterns: [llama3("\\p{N}")], ignoreMerges: false, addBos: false }],
]);

/** @throws Error naming the supported ones where `name` is none of them */
export function preTokenizerOf(name: string): PreTokenizer {
  const found = PRE_TOKENIZERS.get(name);
  if (found !== undefined) return found;
  throw new Error(
    `The pre-tokenizer ${name} is not supported; supported are ${[...PRE_TOKENIZERS.keys()].join(", ")}.`,
  );
}
