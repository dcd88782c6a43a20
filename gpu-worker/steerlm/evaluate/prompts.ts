import type { Conversation } from "../datasets/conversation.ts";
import { FirstQuestions } from "../datasets/first-questions.ts";
import { readDataset } from "../datasets/read.ts";
import { DEFAULT_READ_OPTIONS } from "../datasets/reader.ts";
import { DEFAULT_PARTS, partOfConversation } from "../datasets/split.ts";
import type { EvaluationPrompt } from "./evaluation.ts";

export type PromptChoice = {
  /** Most prompts. */
  limit: number;
  /** Names of parts of the standard split to take; all where it is left out. */
  parts?: readonly string[] | undefined;
  /** Whether a prompt leaves room for its answer. */
  fits: (text: string) => boolean;
};

/**
 * The first turns of data sets, each question once. A smaller limit takes a part of what a larger one takes, and any is drawn from all of
 * the file.
 *
 * @throws Error where a file cannot be read, has a bad row, or no question is left
 */
export async function readPrompts(
  files: readonly string[],
  { limit, parts, fits }: PromptChoice,
  signal: AbortSignal,
): Promise<EvaluationPrompt[]> {
  const questions = new FirstQuestions(({ text }) => fits(text));
  for (const file of files) {
    for await (const outcome of readDataset(file, DEFAULT_READ_OPTIONS, { signal })) {
      if (outcome.kind === "bad row") throw new Error(`${file}:${outcome.line}: ${outcome.reason}`);
      if (outcome.kind === "conversation" && isIn(outcome.conversation, parts)) questions.add(outcome.conversation);
    }
  }
  const prompts = questions.drawn(limit).map(({ id, text }) => ({ id, text }));
  if (prompts.length === 0)
    throw new Error(`${files.join(", ")}: no question to ask. Name other files, or other parts.`);
  return prompts;
}

/** The parts are those that `attune data split` makes. */
function isIn(conversation: Conversation, parts: readonly string[] | undefined): boolean {
  const name = DEFAULT_PARTS[partOfConversation(conversation, DEFAULT_PARTS)]?.name;
  return parts === undefined || (name !== undefined && parts.includes(name));
}
