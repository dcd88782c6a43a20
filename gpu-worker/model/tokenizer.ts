import { Tokenizer as Library } from "@huggingface/tokenizers";
import { spelledBytes } from "./byte-level.ts";
import { ggufVocabulary } from "./gguf-vocabulary.ts";
import type { GgufMetadata } from "./metadata.ts";
import { byteOf, unmarkedBytes, withSpaceMarks, wordPattern } from "./sentencepiece.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Text to token ids and back, for one model. */
export type Tokenizer = {
  readonly vocabSize: number;
  /**
   * Token ids of plain text. Never a marker: the vocabulary behind it does not hold them, so `<|im_end|>` in a text is
   * tokenised as the characters it is. Lone surrogates count as U+FFFD; bytes the model has no token for are left out.
   *
   * @param isFirst whether the text begins the prompt; some models put a space before that one
   */
  encodeText(text: string, isFirst?: boolean): number[];
  /** Marker tokens (control and user-defined ones) by their text. Only templates may use them. */
  readonly markerIds: ReadonlyMap<string, number>;
  /** The bytes that a generated token contributes to the answer; empty for control tokens and for ids out of range. */
  tokenBytes(id: number): Uint8Array;
  /** All of {@link tokenBytes} at once, fit for a worker thread: token `id` is `bytes[offsets[id] … offsets[id + 1])`. */
  tokenByteTable(): TokenByteTable;
  /** Tokens that end an answer. */
  readonly eosIds: ReadonlySet<number>;
  /** The token a prompt must start with, or `null` where the model wants none. */
  readonly requiredBos: number | null;
  /** Texts of the begin and end tokens as templates know them; empty where the model has none. */
  readonly bosText: string;
  readonly eosText: string;
  /** Bytes that the longest token can take up in a text: no text has fewer tokens than its bytes divided by this. */
  readonly longestToken: number;
  /** The text of `ids`, bytes that are no UTF-8 as U+FFFD, without control tokens. */
  decode(ids: Iterable<number>): string;
};

type TokenByteTable = { bytes: Uint8Array; offsets: Uint32Array };

/**
 * Tokens that end an answer wherever a vocabulary holds them as markers, whether or not the file says so. llama.cpp's list; the
 * second row are fill-in-the-middle tokens, after which a code model begins another file.
 */
const END_TEXTS = [
  ...["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<|end_of_text|>", "</s>"],
  ...["<|fim_pad|>", "<|repo_name|>", "<reponame>", "<|file_sep|>"],
];

/** A tokenizer.json of exactly what we use: words, bytes, merges; no markers, no post-processing. */
function tokenizerJson({ tokens, merges, spelling }: Vocabulary) {
  const ids = tokens.flatMap(({ text, kind }, id): [string, number][] =>
    kind === "text" || kind === "byte" ? [[text, id]] : [],
  );
  const model = { type: "BPE", vocab: Object.fromEntries(ids), merges };
  const json = { version: "1.0", added_tokens: [], post_processor: null, decoder: null };
  const split = (pattern: string) => ({
    type: "Split",
    pattern: { Regex: pattern },
    behavior: "Isolated",
    invert: false,
  });
  if (spelling.kind === "sentencepiece") {
    const words = wordPattern(tokens);
    const preTokenizer = words === null ? null : split(words);
    return { ...json, normalizer: null, pre_tokenizer: preTokenizer, model: { ...model, byte_fallback: true } };
  }
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    ...json,
    normalizer: spelling.composed ? { type: "NFC" } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...spelling.patterns.map(split), bytes] },
    model: { ...model, ignore_merges: spelling.ignoreMerges },
  };
}

/**
 * Builds the tokenizer a GGUF file describes.
 *
 * @param rows of the embedding matrix; more than the file has tokens where a publisher rounded up
 * @throws Error as {@link ggufVocabulary} does
 */
export function createTokenizer(metadata: GgufMetadata, rows = 0): Tokenizer {
  return buildTokenizer(ggufVocabulary(metadata, rows));
}

export function buildTokenizer(vocabulary: Vocabulary): Tokenizer {
  const { tokens, spelling, bosId, eosId, addBos, endIds } = vocabulary;
  const markerIds = new Map<string, number>();
  for (const [id, { text, kind }] of tokens.entries())
    if (kind === "control" || kind === "user") markerIds.set(text, id);
  const library = new Library(tokenizerJson(vocabulary), {});
  const table = byteTable(vocabulary);
  const tokenBytes = (id: number) => table.bytes.subarray(table.offsets[id] ?? 0, table.offsets[id + 1] ?? 0);
  const textOf = (id: number | null) => (id === null ? "" : (tokens[id]?.text ?? ""));
  return {
    vocabSize: tokens.length,
    encodeText(text, isFirst = true) {
      if (text === "") return [];
      const whole = text.toWellFormed();
      const word = spelling.kind === "sentencepiece" ? withSpaceMarks(whole, spelling, isFirst) : whole;
      return library.encode(word, { add_special_tokens: false }).ids;
    },
    markerIds,
    tokenBytes,
    tokenByteTable: () => ({ bytes: table.bytes.slice(), offsets: table.offsets.slice() }),
    eosIds: new Set([...endIds, ...END_TEXTS.flatMap((text) => markerIds.get(text) ?? [])]),
    requiredBos: addBos ? bosId : null,
    bosText: textOf(bosId),
    eosText: textOf(eosId),
    longestToken: longestToken(vocabulary, table),
    decode(ids) {
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      let text = "";
      for (const id of ids) text += decoder.decode(tokenBytes(id), { stream: true });
      return text + decoder.decode();
    },
  };
}

/** NFC makes no text shorter than a third of its UTF-8: three Hangul jamo of three bytes each become one syllable of three. */
const COMPOSITION = 3;

function longestToken({ spelling, tokens }: Vocabulary, { offsets }: TokenByteTable): number {
  // A text may itself hold the ▁ of three bytes that a token has for a space.
  if (spelling.kind === "sentencepiece") {
    return tokens.reduce((longest, { text }) => Math.max(longest, Buffer.byteLength(text)), 1);
  }
  const longest = offsets.reduce((most, end, id) => Math.max(most, end - (offsets[id - 1] ?? 0)), 1);
  return spelling.composed ? longest * COMPOSITION : longest;
}

const encoder = new TextEncoder();

function byteTable({ tokens, spelling }: Vocabulary): TokenByteTable {
  const spelled = spelling.kind === "bytes" ? spelledBytes : unmarkedBytes;
  const parts = tokens.map(({ text, kind }) => {
    if (kind === "text") return spelled(text);
    if (kind === "byte") return byteOf(text);
    return kind === "user" ? encoder.encode(text) : new Uint8Array(0);
  });
  const offsets = new Uint32Array(tokens.length + 1);
  for (const [id, part] of parts.entries()) offsets[id + 1] = (offsets[id] ?? 0) + part.length;
  const bytes = new Uint8Array(offsets[tokens.length] ?? 0);
  for (const [id, part] of parts.entries()) bytes.set(part, offsets[id]);
  return { bytes, offsets };
}
