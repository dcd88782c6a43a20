import { z } from "zod";
import { parseJsonFile } from "./json-file.ts";
import { GPT2_WORDS, withUnicodeSpaces } from "./pre-tokenizers.ts";
import type { Spelling, TokenKind, Vocabulary } from "./vocabulary.ts";

const step = z.looseObject({ type: z.string() });
type Step = z.infer<typeof step>;

/** Far above any vocabulary there is, and far below what an array of tokens cannot hold. */
const LARGEST_VOCABULARY = 1 << 22;
const id = z.int().nonnegative().max(LARGEST_VOCABULARY);

const fileSchema = z.object({
  added_tokens: z.array(z.object({ id, content: z.string(), special: z.boolean().default(false) })).default([]),
  normalizer: z.looseObject({ type: z.string(), normalizers: z.array(step).optional() }).nullish(),
  pre_tokenizer: z.looseObject({ type: z.string(), pretokenizers: z.array(step).optional() }).nullish(),
  post_processor: z.unknown(),
  model: z.object({
    type: z.literal("BPE", { error: "only BPE is supported" }).default("BPE"),
    // Not a record, which would leave out a token called `__proto__`.
    vocab: z.custom<Record<string, number>>((value) => z.array(id).safeParse(Object.values(Object(value))).success, {
      error: "must be an object of token ids",
    }),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
  }),
});

/** What a model's other files say of its tokens. */
export type TokenizerFacts = {
  /** Rows of the embedding matrix; more than the file has tokens where a publisher rounded up. */
  vocab: number;
  bosText: string | null;
  eosText: string | null;
  /** `null`: as the file's post-processor does. */
  addBos: boolean | null;
  endIds: number[];
};

/**
 * The tokenizer that a tokenizer.json describes: byte-level BPE (Llama 3, Qwen2, SmolLM2) or SentencePiece's with byte tokens (Llama 2,
 * Mistral). All of its added tokens are markers.
 *
 * @param text the file's contents
 * @throws Error that names the part of it that is not supported, rather than tokenise otherwise than the model expects
 */
export function jsonVocabulary(path: string, text: string, facts: TokenizerFacts): Vocabulary {
  const file = parseJsonFile(path, text, fileSchema, "a tokenizer that can be read");
  const tokens: Vocabulary["tokens"] = Array.from({ length: facts.vocab }, () => ({ text: "", kind: "unused" }));
  const put = (at: number, content: string, kind: TokenKind) => {
    if (at >= tokens.length) throw new Error(`${path} has a token ${at}, but the model knows ${facts.vocab}.`);
    tokens[at] = { text: content, kind };
  };
  const spelling = file.model.byte_fallback === true ? sentencePieces(path, file) : byteLevel(path, file);
  for (const [content, at] of Object.entries(file.model.vocab)) {
    const isByte = spelling.kind === "sentencepiece" && /^<0x[0-9A-F]{2}>$/.test(content);
    put(at, content, isByte ? "byte" : "text");
  }
  // Some publishers add a padding token that the model has no row for.
  for (const { id: at, content, special } of file.added_tokens) {
    if (at < tokens.length) put(at, content, special ? "control" : "user");
  }
  const idOf = (content: string | null) => {
    const at = content === null ? -1 : tokens.findIndex((token) => token.text === content);
    return at === -1 ? null : at;
  };
  const bosId = idOf(facts.bosText);
  return {
    tokens,
    merges: file.model.merges,
    spelling,
    bosId,
    eosId: idOf(facts.eosText),
    addBos: facts.addBos ?? (facts.bosText !== null && firstOf(file.post_processor) === facts.bosText),
    endIds: facts.endIds,
  };
}

type File = Pick<z.infer<typeof fileSchema>, "normalizer" | "pre_tokenizer" | "model">;

const normalizersOf = ({ normalizer }: File): Step[] =>
  normalizer?.type === "Sequence" ? (normalizer.normalizers ?? []) : normalizer ? [normalizer] : [];

const preTokenizersOf = ({ pre_tokenizer: pre }: File): Step[] =>
  pre?.type === "Sequence" ? (pre.pretokenizers ?? []) : pre ? [pre] : [];

const unsupported = (path: string, part: Step) =>
  new Error(`${path} has a step that is not supported: ${JSON.stringify(part)}.`);

const byteLevelStep = z.union([
  z
    .object({
      type: z.literal("Split"),
      pattern: z.object({ Regex: z.string() }),
      behavior: z.literal("Isolated"),
      invert: z.literal(false).default(false),
    })
    .transform(({ pattern }) => [withUnicodeSpaces(pattern.Regex)]),
  z
    .object({ type: z.literal("Digits"), individual_digits: z.boolean().default(false) })
    .transform((digits) => [digits.individual_digits ? "\\p{N}" : "\\p{N}+"]),
  z
    .object({ type: z.literal("ByteLevel"), add_prefix_space: z.literal(false), use_regex: z.boolean().default(true) })
    .transform((level) => (level.use_regex ? [GPT2_WORDS] : [])),
]);

function byteLevel(path: string, file: File): Spelling {
  const normalizers = normalizersOf(file);
  for (const part of normalizers) if (part.type !== "NFC") throw unsupported(path, part);
  const steps = preTokenizersOf(file);
  if (steps.findIndex((part) => part.type === "ByteLevel") !== steps.length - 1 || steps.length === 0) {
    throw new Error(`${path} is neither a byte-level tokenizer nor one with byte tokens, which is not supported.`);
  }
  const patterns = steps.flatMap((part) => {
    const parsed = byteLevelStep.safeParse(part);
    if (!parsed.success) throw unsupported(path, part);
    return parsed.data;
  });
  return {
    kind: "bytes",
    patterns,
    ignoreMerges: file.model.ignore_merges === true,
    composed: normalizers.length > 0,
  };
}

const isReplace = z.object({ pattern: z.object({ String: z.literal(" ") }), content: z.literal("▁") });
const metaspace = z.object({
  type: z.literal("Metaspace"),
  replacement: z.literal("▁"),
  prepend_scheme: z.enum(["always", "first", "never"]),
  // Some split the text into words first; these models merge over all of it.
  split: z.literal(false),
});

const PREFIXES = { always: "each", first: "first", never: "none" } as const;

/** Either a normaliser writes the ▁ (transformers' legacy), or a pre-tokenizer does. */
function sentencePieces(path: string, file: File): Spelling {
  const [pre, ...others] = preTokenizersOf(file);
  const normalizers = normalizersOf(file);
  const [extra] = pre === undefined ? others : [...others, ...normalizers];
  if (extra !== undefined) throw unsupported(path, extra);
  if (pre !== undefined) {
    const parsed = metaspace.safeParse(pre);
    if (!parsed.success) throw unsupported(path, pre);
    return { kind: "sentencepiece", prefix: PREFIXES[parsed.data.prepend_scheme], prefixesSpace: false };
  }
  const last = normalizers.at(-1);
  if (last === undefined || last.type !== "Replace" || !isReplace.safeParse(last).success) {
    throw new Error(`${path} does not write spaces as ▁, which is not supported.`);
  }
  const before = normalizers.slice(0, -1);
  const odd = before.find((part) => part.type !== "Prepend" || part.prepend !== "▁") ?? before[1];
  if (odd !== undefined) throw unsupported(path, odd);
  return { kind: "sentencepiece", prefix: before.length === 0 ? "none" : "each", prefixesSpace: true };
}

const template = z.object({
  type: z.literal("TemplateProcessing"),
  single: z.array(z.object({ SpecialToken: z.object({ id: z.string() }).optional() })),
});
const processors = z.object({ type: z.literal("Sequence"), processors: z.array(z.unknown()) });

/** The token that a post-processor puts first, if any. */
function firstOf(postProcessor: unknown): string | null {
  const sequence = processors.safeParse(postProcessor);
  const parts = sequence.success ? sequence.data.processors : [postProcessor];
  for (const part of parts) {
    const parsed = template.safeParse(part);
    if (parsed.success) return parsed.data.single[0]?.SpecialToken?.id ?? null;
  }
  return null;
}
