import { ATTRIBUTES } from "../../../schema/attributes.ts";
import type { JudgedAnswer } from "../../model/attribute-text.ts";
import { type Conversation, type Turn, treeKey } from "../datasets/conversation.ts";
import type { Labels } from "../rounding.ts";

/** An answer with its labels, as an attribute prediction model learns it or is measured on it. */
export type LabelledAnswer = JudgedAnswer & {
  /** The source's name of the message, or of conversation and turn. */
  id: string;
  source: string;
  /** What a split keeps together. */
  tree: string;
  labels: Labels;
};

/** A turn of a conversation as an answer to what came before it. */
export function judgedAnswer({ system, turns }: Conversation, index: number): JudgedAnswer {
  const before = turns.slice(0, index).map(({ role, text }) => ({ role, content: text }));
  const messages = system === undefined ? before : [{ role: "system" as const, content: system }, ...before];
  return { messages, answer: turns[index]?.text ?? "" };
}

/** A name for a turn that is the same in every conversation that it is part of, as far as the source names its turns. */
export const turnKey = ({ id, source, turns }: Conversation, index: number): string =>
  `${source} ${turns[index]?.id ?? `${id}#${index}`}`;

const hasLabel = ({ labels }: Turn): boolean => ATTRIBUTES.some((name) => labels?.[name] !== undefined);

/** Collects the answers that have labels. One that several conversations share counts once. */
export class LabelledAnswers {
  readonly #seen = new Set<string>();
  readonly answers: LabelledAnswer[] = [];

  add(conversation: Conversation): void {
    for (const [index, turn] of conversation.turns.entries()) {
      const { role, labels } = turn;
      if (role !== "assistant" || labels === undefined || !hasLabel(turn)) continue;
      const id = turnKey(conversation, index);
      if (this.#seen.has(id)) continue;
      this.#seen.add(id);
      const { source } = conversation;
      this.answers.push({ ...judgedAnswer(conversation, index), id, source, tree: treeKey(conversation), labels });
    }
  }
}
