import { createHash } from "node:crypto";
import { unitHash } from "../unit-hash.ts";
import type { Conversation } from "./conversation.ts";
import { normalisedText } from "./held-out.ts";

/** What a conversation begins with. `id`: made of the text. `tree`: of the conversation, where it is part of one. */
export type FirstQuestion = { id: string; text: string; tree?: string };

/** Of a SHA-1: enough that no two questions share an id. */
const ID_CHARACTERS = 16;

const sha1 = (text: string) => createHash("sha1").update(text).digest("hex");

/** Collects the first turns of conversations, each question once. */
export class FirstQuestions {
  readonly #found = new Map<string, FirstQuestion>();
  readonly #fits: (question: FirstQuestion) => boolean;

  /** @param fits whether a question leaves room for its answer */
  constructor(fits: (question: FirstQuestion) => boolean) {
    this.#fits = fits;
  }

  add({ turns, tree }: Conversation): void {
    const [first] = turns;
    const text = first?.role === "user" ? first.text.trim() : "";
    const normalised = normalisedText(text);
    if (normalised === "" || this.#found.has(normalised)) return;
    const question: FirstQuestion = { id: sha1(text).slice(0, ID_CHARACTERS), text, ...(tree && { tree }) };
    if (this.#fits(question)) this.#found.set(normalised, question);
  }

  /**
   * Questions in an order that a hash of the text decides: a smaller limit takes a part of what a larger one takes, and any is drawn from
   * all of them.
   *
   * @param order draws another order
   */
  drawn(limit: number, order = "order"): FirstQuestion[] {
    const places = [...this.#found.values()].map((question) => ({ question, at: unitHash(`${order}:${question.id}`) }));
    return places
      .sort((a, b) => a.at - b.at)
      .slice(0, limit)
      .map(({ question }) => question);
  }
}
