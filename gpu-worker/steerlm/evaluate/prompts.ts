import { createHash } from "node:crypto";
import type { Conversation } from "../datasets/conversation.ts";
import { normalisedText } from "../datasets/held-out.ts";
import { readDataset } from "../datasets/read.ts";
import { DEFAULT_READ_OPTIONS } from "../datasets/reader.ts";
import { DEFAULT_PARTS, partOfConversation } from "../datasets/split.ts";
import { unitHash } from "../unit-hash.ts";
import type { EvaluationPrompt } from "./evaluation.ts";

/** Of a SHA-1: enough that no two prompts share an id. */
const ID_CHARACTERS = 16;

const sha1 = (text: string) => createHash("sha1").update(text).digest("hex");

export type PromptChoice = {
  /** Most prompts. */
  limit: number;
  /** Names of parts of the standard split to take; all where it is left out. */
  parts?: readonly string[] | undefined;
  /** Whether a prompt leaves room for its answer. */
  fits: (text: string) => boolean;
};

/**
 * The first turns of data sets, each question once, in an order that a hash of the text decides: a smaller limit takes a part of what a larger
 * one takes, and any is drawn from all of the file.
 *
 * @throws Error where a file cannot be read, has a bad row, or no question is left
 */
export async function readPrompts(
  files: readonly string[],
  { limit, parts, fits }: PromptChoice,
  signal: AbortSignal,
): Promise<EvaluationPrompt[]> {
  const found = new Map<string, EvaluationPrompt>();
  for (const file of files) {
    for await (const outcome of readDataset(file, DEFAULT_READ_OPTIONS, { signal })) {
      if (outcome.kind === "bad row") throw new Error(`${file}:${outcome.line}: ${outcome.reason}`);
      if (outcome.kind !== "conversation") continue;
      const [first] = outcome.conversation.turns;
      const text = first?.role === "user" ? first.text.trim() : "";
      const normalised = normalisedText(text);
      if (normalised === "" || found.has(normalised) || !isIn(outcome.conversation, parts) || !fits(text)) continue;
      found.set(normalised, { id: sha1(text).slice(0, ID_CHARACTERS), text });
    }
  }
  if (found.size === 0) throw new Error(`${files.join(", ")}: no question to ask. Name other files, or other parts.`);
  return [...found.values()].sort((a, b) => unitHash(`order:${a.id}`) - unitHash(`order:${b.id}`)).slice(0, limit);
}

/** The parts are those that `attune data split` makes. */
function isIn(conversation: Conversation, parts: readonly string[] | undefined): boolean {
  const name = DEFAULT_PARTS[partOfConversation(conversation, DEFAULT_PARTS)]?.name;
  return parts === undefined || (name !== undefined && parts.includes(name));
}
