import { Tokenizer as Library } from "@huggingface/tokenizers";
import { spelledBytes } from "./byte-level.ts";
import type { GgufMetadata } from "./metadata.ts";
import { type PreTokenizer, preTokenizerOf } from "./pre-tokenizers.ts";

/** Text to token ids and back, for one model. */
export type Tokenizer = {
  readonly vocabSize: number;
  /**
   * Token ids of plain text. Never a marker: the vocabulary behind it does not hold them, so `<|im_end|>` in a text is
   * tokenised as the characters it is. Lone surrogates count as U+FFFD; bytes the model has no token for are left out.
   */
  encodeText(text: string): number[];
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
  /** Bytes of the longest token: no text has fewer tokens than its bytes divided by this. */
  readonly longestToken: number;
  /** The text of `ids`, bytes that are no UTF-8 as U+FFFD, without control tokens. */
  decode(ids: Iterable<number>): string;
};

type TokenByteTable = { bytes: Uint8Array; offsets: Uint32Array };

/** GGUF's `tokenizer.ggml.token_type`. */
const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;

/**
 * Tokens that end an answer wherever a vocabulary holds them as markers, whether or not the file says so. llama.cpp's list; the
 * second row are fill-in-the-middle tokens, after which a code model begins another file.
 */
const END_TEXTS = [
  ...["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<|end_of_text|>", "</s>"],
  ...["<|fim_pad|>", "<|repo_name|>", "<reponame>", "<|file_sep|>"],
];
const END_KEYS = ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`);

/** A tokenizer.json of exactly what we use: words, bytes, merges; no normaliser, no markers, no post-processing. */
function tokenizerJson(vocab: Map<string, number>, merges: string[], pre: PreTokenizer) {
  const splits = pre.patterns.map((pattern) => ({
    type: "Split",
    pattern: { Regex: pattern },
    behavior: "Isolated",
    invert: false,
  }));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, bytes] },
    post_processor: null,
    decoder: null,
    model: { type: "BPE", vocab: Object.fromEntries(vocab), merges, ignore_merges: pre.ignoreMerges },
  };
}

/**
 * Builds the tokenizer a GGUF file describes.
 *
 * @throws Error for a tokenizer other than byte-level BPE, a pre-tokenizer that is not supported, or contradictory metadata
 */
export function createTokenizer(metadata: GgufMetadata): Tokenizer {
  const model = metadata.string("tokenizer.ggml.model");
  if (model !== "gpt2") throw new Error(`The tokenizer ${model} is not supported; supported is gpt2 (byte-level BPE).`);
  const pre = preTokenizerOf(metadata.string("tokenizer.ggml.pre"));
  const tokens = metadata.strings("tokenizer.ggml.tokens");
  const types = metadata.numbers("tokenizer.ggml.token_type");
  if (types.length !== tokens.length) throw new Error("tokenizer.ggml.tokens and token_type differ in length.");

  const texts = new Map<string, number>();
  const markerIds = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (types[id] === NORMAL) texts.set(token, id);
    else if (types[id] === CONTROL || types[id] === USER_DEFINED) markerIds.set(token, id);
  }
  const library = new Library(tokenizerJson(texts, metadata.strings("tokenizer.ggml.merges"), pre), {});
  const table = byteTable(tokens, types);
  const tokenBytes = (id: number) => table.bytes.subarray(table.offsets[id] ?? 0, table.offsets[id + 1] ?? 0);
  const optionalId = (key: string) => (metadata.has(key) ? metadata.number(key) : null);
  const bosId = optionalId("tokenizer.ggml.bos_token_id");
  const eosId = optionalId("tokenizer.ggml.eos_token_id");
  const addBosKey = "tokenizer.ggml.add_bos_token";
  const addBos = metadata.has(addBosKey) ? metadata.boolean(addBosKey) : pre.addBos;

  return {
    vocabSize: tokens.length,
    encodeText: (text) => (text === "" ? [] : library.encode(text.toWellFormed(), { add_special_tokens: false }).ids),
    markerIds,
    tokenBytes,
    tokenByteTable: () => ({ bytes: table.bytes.slice(), offsets: table.offsets.slice() }),
    eosIds: endIds(metadata, markerIds),
    requiredBos: addBos ? bosId : null,
    bosText: bosId === null ? "" : (tokens[bosId] ?? ""),
    eosText: eosId === null ? "" : (tokens[eosId] ?? ""),
    longestToken: table.offsets.reduce((longest, end, id) => Math.max(longest, end - (table.offsets[id - 1] ?? 0)), 1),
    decode(ids) {
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      let text = "";
      for (const id of ids) text += decoder.decode(tokenBytes(id), { stream: true });
      return text + decoder.decode();
    },
  };
}

function endIds(metadata: GgufMetadata, markerIds: Map<string, number>): Set<number> {
  const ids = new Set<number>();
  for (const key of END_KEYS) if (metadata.has(key)) ids.add(metadata.number(key));
  for (const text of END_TEXTS) {
    const id = markerIds.get(text);
    if (id !== undefined) ids.add(id);
  }
  return ids;
}

const encoder = new TextEncoder();

function byteTable(tokens: string[], types: number[]): TokenByteTable {
  const parts = tokens.map((token, id) => {
    if (types[id] === NORMAL) return spelledBytes(token);
    return types[id] === USER_DEFINED ? encoder.encode(token) : new Uint8Array(0);
  });
  const offsets = new Uint32Array(tokens.length + 1);
  for (const [id, part] of parts.entries()) offsets[id + 1] = (offsets[id] ?? 0) + part.length;
  const bytes = new Uint8Array(offsets[tokens.length] ?? 0);
  for (const [id, part] of parts.entries()) bytes.set(part, offsets[id]);
  return { bytes, offsets };
}
