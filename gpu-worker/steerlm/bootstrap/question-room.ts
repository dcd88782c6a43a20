import type { AttributeLevels, SteeringProfile } from "../../../schema/attributes.ts";
import { AttuneError } from "../../../schema/wire/errors.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { promptOf } from "../sft/prompt.ts";

/** What turns a model's chats into tokens, and its hash. @throws Error where it cannot be read */
export async function readTexts(model: string) {
  const checkpoint = await openCheckpoint(model);
  try {
    const [tokenizer, template] = [await checkpoint.readTokenizer(), await checkpoint.readTemplate()];
    return { tokenizer, template, hash: await checkpoint.contentHash(), context: checkpoint.config.contextLength };
  } finally {
    await checkpoint.close();
  }
}

type Room = Awaited<ReturnType<typeof readTexts>> & {
  /** Of the adapter that answers; `null`: the plain model does, asked in words. */
  profile: SteeringProfile | null;
  /** Most tokens of a question with its headers, without its label line. */
  maxPrompt: number;
  maxTokens: number;
};

/** How the speaker is told what to be. */
export const methodOf = (profile: SteeringProfile | null) => (profile === null ? "words" : "label_line");

/** Whether a question is short enough to be trained on, and leaves room for the longest reply. */
export function fits(
  content: string,
  levels: AttributeLevels,
  { tokenizer, template, profile, ...room }: Room,
): boolean {
  // A text of megabytes need not be tokenised to be too long.
  if (Buffer.byteLength(content) > room.maxPrompt * tokenizer.longestToken) return false;
  const messages = [{ role: "user" as const, content }];
  try {
    if (promptOf(tokenizer, template, messages, {}, null).length > room.maxPrompt) return false;
    return (
      promptOf(tokenizer, template, messages, levels, profile, methodOf(profile)).length + room.maxTokens <=
      room.context
    );
  } catch (error) {
    if (error instanceof AttuneError) return false;
    throw error;
  }
}
