import { createHash } from "node:crypto";
import type { z } from "zod";
import type { Conversation, Turn } from "./conversation.ts";
import { leftOut, type Outcome, taken } from "./outcome.ts";
import type { Threads } from "./threads.ts";

export type ReadOptions = {
  /** Which threads of a tree become conversations. */
  threads: Threads;
  /** Languages to take, where the source tells; all without it. */
  languages?: readonly string[] | undefined;
  keepDeleted: boolean;
  /** Mean of the spam votes, 0–1, from which on a message goes. */
  spam: number;
  /** Of pairs recovered by guessing, only those marked as surely the beginning of a conversation. */
  rootLike: boolean;
};

export const DEFAULT_READ_OPTIONS: ReadOptions = { threads: "all", keepDeleted: false, spam: 0.5, rootLike: false };

/** What is wrong with a row. */
export class BadRow extends Error {
  override readonly name = "BadRow";
}

/** Reads one file's rows. Whatever needs other rows first comes at the end. */
export type Reader = {
  /** @throws BadRow */
  row(value: unknown): Outcome[];
  end(): Outcome[];
};

export type Format = {
  name: string;
  /** What its rows hold, for who must choose. */
  holds: string;
  /** Whether a row with these fields is of the format. */
  matches(row: Record<string, unknown>): boolean;
  reader(options: ReadOptions): Reader;
};

/** @throws BadRow that names the field and what is wrong with it */
export function checkRow<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.map(String).join(".") ?? "";
  throw new BadRow(`${field === "" ? "" : `${field}: `}${issue?.message}`);
}

/** A format whose every row stands for itself. */
export function rowFormat<T>(
  about: Pick<Format, "name" | "holds" | "matches">,
  schema: z.ZodType<T>,
  read: (row: T, options: ReadOptions) => Outcome[],
): Format {
  return {
    ...about,
    reader: (options) => ({ row: (value) => read(checkRow(schema, value), options), end: () => [] }),
  };
}

/** A name made of what it names, for sources that give their rows none. */
const contentId = (...texts: string[]): string =>
  createHash("sha1").update(JSON.stringify(texts)).digest("hex").slice(0, 16);

const textsOf = (turns: readonly Turn[]) => turns.flatMap(({ role, text }) => [role, text]);

/** A conversation without a name of its own. */
export function conversationOf(source: string, turns: Turn[], more: Partial<Conversation> = {}): Outcome {
  return taken({ id: contentId(source, ...textsOf(turns)), source, turns, ...more });
}

/** Two answers to the same turns. `preferred` is the index of the better one; null where neither is. */
export type Comparison = { shared: Turn[]; answers: [string, string]; preferred: 0 | 1 | null };

/**
 * Both sides of a comparison, each a conversation. Turns they share get the same id, so that they count once. A comparison with an
 * empty answer is left out as a whole: half of one compares nothing.
 */
export function comparisonOf(source: string, comparison: Comparison, more: Partial<Conversation> = {}): Outcome[] {
  const { shared, answers, preferred } = comparison;
  if (answers.some((answer) => answer.trim() === "")) return [leftOut("empty turn", 2)];
  const pair = more.pair ?? contentId(source, ...textsOf(shared), ...answers);
  const turns = shared.map((turn, index): Turn => ({ ...turn, id: `${pair}.${index}` }));
  return answers.map((text, index) =>
    taken({
      source,
      ...more,
      id: `${pair}/${index + 1}`,
      pair,
      turns: [...turns, { role: "assistant", text, rank: preferred === null || preferred === index ? 0 : 1 }],
    }),
  );
}

export const has = (row: Record<string, unknown>, ...fields: string[]): boolean =>
  fields.every((field) => field in row);
