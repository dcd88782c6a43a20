/**
 * How a token takes part: `text` may come of text and gives its text; `byte` stands for a byte that has no token of its own
 * (SentencePiece); `control` and `user` are markers, which only templates write, without and with a text of their own; `unused` is
 * never met.
 */
export type TokenKind = "text" | "byte" | "control" | "user" | "unused";

/** How tokens spell text. */
export type Spelling =
  | {
      /** GPT-2's way: each byte of the UTF-8 is a character, and merging stays within the words that the patterns cut. */
      kind: "bytes";
      /** Applied one after the other; each cuts the pieces of the one before. */
      patterns: string[];
      /** A word that is itself a token is taken whole, without merging. */
      ignoreMerges: boolean;
      /** Text is composed (NFC) first. */
      composed: boolean;
    }
  | {
      /** SentencePiece's way: a space is written ▁, all of the text is one word, and what has no token is spelled in byte tokens. */
      kind: "sentencepiece";
      /** Before which runs of text a ▁ is put: each, only one that begins the prompt, or none. */
      prefix: "each" | "first" | "none";
      /** Whether also before a run that begins with a space. */
      prefixesSpace: boolean;
    };

/** What a tokenizer is made of, whichever file describes it. */
export type Vocabulary = {
  /** By id. */
  tokens: { text: string; kind: TokenKind }[];
  /** Pairs in order of merging, joined by a space or not. */
  merges: (string | [string, string])[];
  spelling: Spelling;
  bosId: number | null;
  eosId: number | null;
  /** Whether a prompt starts with the begin token. */
  addBos: boolean;
  /** Tokens that the file says end an answer. */
  endIds: number[];
};
