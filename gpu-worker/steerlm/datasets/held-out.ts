import type { Conversation } from "./conversation.ts";

/** A text by which copies are known: case, punctuation, width and spacing are no difference. */
export const normalisedText = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();

const questionsOf = ({ turns }: Conversation): string[] =>
  turns.flatMap(({ role, text }) => (role === "user" ? [normalisedText(text)] : []));

/** Questions that must be in no training data, such as a benchmark's. */
export class HeldOutPrompts {
  readonly #texts = new Set<string>();

  /** Holds out every question of a conversation, later turns too. */
  add(conversation: Conversation): void {
    for (const text of questionsOf(conversation)) if (text !== "") this.#texts.add(text);
  }

  /** Whether any turn of the conversation asks a question that is held out. */
  has(conversation: Conversation): boolean {
    return questionsOf(conversation).some((text) => this.#texts.has(text));
  }
}
