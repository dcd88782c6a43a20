import type { GgufMetadata } from "./metadata.ts";
import { preTokenizerOf } from "./pre-tokenizers.ts";
import { mergesByScore } from "./sentencepiece.ts";
import type { Spelling, TokenKind, Vocabulary } from "./vocabulary.ts";

/** GGUF's `tokenizer.ggml.token_type`, from 1 on. 2 is the token for the unknown, which byte tokens make needless. */
const KINDS: readonly TokenKind[] = ["text", "unused", "control", "user", "unused", "byte"];

const END_KEYS = ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`);

/**
 * The tokenizer a GGUF file describes.
 *
 * @param rows of the embedding matrix; what it has more of than tokens is unused
 * @throws Error for a tokenizer other than byte-level BPE and SentencePiece's BPE, a pre-tokenizer that is not supported, or
 * contradictory metadata
 */
export function ggufVocabulary(metadata: GgufMetadata, rows: number): Vocabulary {
  const texts = metadata.strings("tokenizer.ggml.tokens");
  const types = metadata.numbers("tokenizer.ggml.token_type");
  if (types.length !== texts.length) throw new Error("tokenizer.ggml.tokens and token_type differ in length.");
  const tokens = texts.map((text, id) => ({ text, kind: KINDS[(types[id] ?? 0) - 1] ?? "unused" }));
  const optionalId = (key: string) => (metadata.has(key) ? metadata.number(key) : null);
  const isSet = (key: string, fallback: boolean) => (metadata.has(key) ? metadata.boolean(key) : fallback);
  const { spelling, merges, addsBos } = spellingOf(metadata, tokens);
  while (tokens.length < rows) tokens.push({ text: "", kind: "unused" });
  return {
    tokens,
    merges,
    spelling,
    bosId: optionalId("tokenizer.ggml.bos_token_id"),
    eosId: optionalId("tokenizer.ggml.eos_token_id"),
    addBos: isSet("tokenizer.ggml.add_bos_token", addsBos),
    endIds: END_KEYS.filter((key) => metadata.has(key)).map((key) => metadata.number(key)),
  };
}

function spellingOf(
  metadata: GgufMetadata,
  tokens: Vocabulary["tokens"],
): Pick<Vocabulary, "spelling" | "merges"> & { addsBos: boolean } {
  const model = metadata.string("tokenizer.ggml.model");
  if (model === "gpt2") {
    const { patterns, ignoreMerges, addBos } = preTokenizerOf(metadata.string("tokenizer.ggml.pre"));
    const merges = metadata.strings("tokenizer.ggml.merges");
    return { spelling: { kind: "bytes", patterns, ignoreMerges, composed: false }, merges, addsBos: addBos };
  }
  if (model === "llama") {
    const key = "tokenizer.ggml.add_space_prefix";
    const hasPrefix = !metadata.has(key) || metadata.boolean(key);
    // As llama.cpp has it: after every marker, and before a space too.
    const spelling: Spelling = { kind: "sentencepiece", prefix: hasPrefix ? "each" : "none", prefixesSpace: true };
    return { spelling, merges: mergesByScore(tokens, metadata.numbers("tokenizer.ggml.scores")), addsBos: true };
  }
  throw new Error(
    `The tokenizer ${model} is not supported; supported are gpt2 (byte-level BPE) and llama (SentencePiece's BPE).`,
  );
}
