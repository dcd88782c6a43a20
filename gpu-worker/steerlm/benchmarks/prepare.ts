import { z } from "zod";
import { messageSchema } from "../../../schema/api/chat.ts";
import type { Conversation, Turn } from "../datasets/conversation.ts";
import { BadRow, checkRow } from "../datasets/reader.ts";
import { placeId, type RewardBenchmark } from "./scored-item.ts";

const promptSchema = z.union([z.string(), z.array(messageSchema).min(1)]);
/** Not every set names its rows. */
const idSchema = z.union([z.string(), z.number()]).transform(String).optional();
const answers = z.array(z.string()).min(1);

/** One task as its benchmark publishes it. */
type Task = {
  subset?: string | undefined;
  item?: string | undefined;
  prompt: z.infer<typeof promptSchema>;
  chosen: string[];
  rejected: string[];
};

const one = z.string().transform((answer) => [answer]);

const TASKS: Record<RewardBenchmark, z.ZodType<Task>> = {
  rewardbench: z
    .object({ id: idSchema, subset: z.string().optional(), prompt: promptSchema, chosen: one, rejected: one })
    .transform(({ id, ...task }) => ({ ...task, item: id })),
  rewardbench2: z
    .object({ id: idSchema, subset: z.string().optional(), prompt: promptSchema, chosen: answers, rejected: answers })
    .transform(({ id, ...task }) => ({ ...task, item: id })),
  "rm-bench": z
    .object({ id: idSchema, domain: z.string().optional(), prompt: promptSchema, chosen: answers, rejected: answers })
    .transform(({ id, domain, ...task }) => ({ ...task, subset: domain, item: id })),
};

/** Every reader of conversations leaves out one in which somebody says nothing; a benchmark's empty answers must be scored, too. */
const EMPTY = "(no answer)";

/** What names a row that does not say it itself. `subset` is the user's word, and counts before the row's. */
export type RowNames = { item: string; subset?: string | undefined };

/**
 * A benchmark's row as conversations to score, one for each answer; each id says where the answer stands.
 *
 * @throws BadRow that names the field that is wrong
 */
export function conversationsOf(benchmark: RewardBenchmark, row: unknown, names: RowNames): Conversation[] {
  const { prompt, chosen, rejected, ...task } = checkRow(TASKS[benchmark], row);
  const subset = names.subset ?? task.subset;
  if (subset === undefined) throw new BadRow("it does not say its subset or domain: name it with --subset");
  const item = task.item ?? names.item;
  const { system, turns } = turnsOf(prompt);
  const counts = { chosen: chosen.length, rejected: rejected.length };
  const conversations = (side: "chosen" | "rejected", texts: readonly string[]) =>
    texts.map(
      (text, index): Conversation => ({
        id: placeId({ benchmark, subset, item, side, index, counts }),
        source: benchmark,
        ...(system === undefined ? {} : { system }),
        turns: [...turns, { role: "assistant", text: text.trim() === "" ? EMPTY : text }],
      }),
    );
  return [...conversations("chosen", chosen), ...conversations("rejected", rejected)];
}

function turnsOf(prompt: Task["prompt"]): { system?: string; turns: Turn[] } {
  if (typeof prompt === "string") return { turns: [{ role: "user", text: prompt }] };
  const system = prompt.flatMap(({ role, content }) => (role === "system" ? [content] : [])).join("\n\n");
  const turns = prompt.flatMap(({ role, content }): Turn[] => (role === "system" ? [] : [{ role, text: content }]));
  return system === "" ? { turns } : { system, turns };
}
