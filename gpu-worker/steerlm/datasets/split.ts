import { unitHash } from "../unit-hash.ts";
import { type Conversation, treeKey } from "./conversation.ts";
import { normalisedText } from "./held-out.ts";

/** Shares of a data set, in proportion to their weights. */
export type Part = { name: string; weight: number };

/** By the first byte of a tree's SHA-1: below 205, below 230, the rest. */
export const DEFAULT_PARTS: readonly Part[] = [
  { name: "train", weight: 205 },
  { name: "validation", weight: 25 },
  { name: "test", weight: 26 },
];

/**
 * The index of the part that a tree belongs to, by a hash of its key alone: rows that come or go move no other row.
 *
 * @param seed draws other parts; without one the hash is the plain SHA-1 of the key
 */
export function partOf(key: string, parts: readonly Part[], seed?: string): number {
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  const at = unitHash(seed === undefined ? key : `${seed}:${key}`) * total;
  let end = 0;
  const index = parts.findIndex(({ weight }) => {
    end += weight;
    return at < end;
  });
  return index === -1 ? parts.length - 1 : index;
}

/** A text that stands in more than one part. */
export type Duplicate = { parts: number[]; text: string };

/** Characters by which a person knows a text. */
const EXCERPT = 100;

/** Finds what different trees say alike in different parts: first turns, and whole conversations. */
export class DuplicateFinder {
  readonly #prompts = new Map<number, Duplicate>();
  readonly #conversations = new Map<number, Duplicate>();

  add({ turns }: Conversation, part: number): void {
    const [first] = turns;
    if (first === undefined) return;
    note(this.#prompts, normalisedText(first.text), first.text, part);
    note(this.#conversations, turns.map(({ text }) => normalisedText(text)).join("\n"), first.text, part);
  }

  get prompts(): Duplicate[] {
    return acrossParts(this.#prompts);
  }

  get conversations(): Duplicate[] {
    return acrossParts(this.#conversations);
  }
}

function note(seen: Map<number, Duplicate>, normalised: string, text: string, part: number): void {
  const key = unitHash(normalised);
  const before = seen.get(key);
  if (before === undefined) seen.set(key, { parts: [part], text: text.slice(0, EXCERPT) });
  else if (!before.parts.includes(part)) before.parts.push(part);
}

const acrossParts = (seen: Map<number, Duplicate>) => [...seen.values()].filter(({ parts }) => parts.length > 1);

/** The index of the part a conversation belongs to. */
export const partOfConversation = (conversation: Conversation, parts: readonly Part[], seed?: string): number =>
  partOf(treeKey(conversation), parts, seed);
