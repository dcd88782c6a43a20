import { z } from "zod";
import { type Message, messageSchema } from "../../../schema/api/chat.ts";
import { ATTRIBUTES } from "../../../schema/attributes.ts";
import { levelsOf } from "../rounding.ts";
import type { Conversation, Turn } from "./conversation.ts";
import type { Outcome } from "./outcome.ts";
import { BadRow, comparisonOf, conversationOf, type Format, has, rowFormat } from "./reader.ts";

/** Either kind of TRL's dataset formats: messages, or the text of one. */
const sideSchema = (role: "user" | "assistant") =>
  z.union([z.string().transform((content): Message[] => [{ role, content }]), z.array(messageSchema).min(1)], {
    error: "must be a text or a list of messages",
  });

const treeSchema = z.string().min(1).nullish();

const trlSchema = z.union(
  [
    z.object({ messages: z.array(messageSchema).min(1), tree_id: treeSchema }),
    z.object({ prompt: sideSchema("user"), completion: sideSchema("assistant"), tree_id: treeSchema }),
    z.object({
      prompt: sideSchema("user").optional(),
      chosen: sideSchema("assistant"),
      rejected: sideSchema("assistant"),
      tree_id: treeSchema,
    }),
  ],
  {
    error:
      "must be messages, prompt and completion, or prompt, chosen and rejected, where a message has a role of system, user or assistant " +
      "and a text as its content",
  },
);

/** @throws BadRow where a system message stands anywhere but first */
function conversationParts(messages: readonly Message[]): { turns: Turn[]; system?: string } {
  const [first, ...rest] = messages;
  if (first?.role === "system") return { system: first.content, turns: rest.map(turnOf) };
  return { turns: messages.map(turnOf) };
}

function turnOf({ role, content, steer }: Message): Turn {
  if (role === "system") throw new BadRow("messages: a system message must come first");
  const turn: Turn = { role, text: content };
  if (role !== "assistant" || steer === undefined) return turn;
  turn.labels = {};
  for (const name of ATTRIBUTES) {
    const level = steer.attributes[name];
    if (level !== undefined && level !== null) turn.labels[name] = level;
  }
  return turn;
}

function single(messages: readonly Message[], tree: string | null | undefined): Outcome[] {
  const { turns, system } = conversationParts(messages);
  const more: Partial<Conversation> = {};
  if (system !== undefined) more.system = system;
  if (typeof tree === "string") more.tree = tree;
  return [conversationOf("trl", turns, more)];
}

export const trl: Format = rowFormat(
  {
    name: "trl",
    holds: "TRL's messages, prompt and completion, or prompt, chosen and rejected; steer beside an answer's content",
    matches: (row) => has(row, "messages") || has(row, "prompt", "completion") || has(row, "chosen", "rejected"),
  },
  trlSchema,
  (row) => {
    if ("messages" in row) return single(row.messages, row.tree_id);
    if ("completion" in row) return single([...row.prompt, ...row.completion], row.tree_id);
    const chosen = conversationParts([...(row.prompt ?? []), ...row.chosen]);
    const rejected = conversationParts([...(row.prompt ?? []), ...row.rejected]);
    const better = chosen.turns.pop();
    const worse = rejected.turns.pop();
    if (better?.role !== "assistant" || worse?.role !== "assistant" || !sameTurns(chosen.turns, rejected.turns)) {
      throw new BadRow("chosen and rejected must be answers to the same messages");
    }
    const more: Partial<Conversation> = {};
    if (chosen.system !== undefined) more.system = chosen.system;
    if (typeof row.tree_id === "string") more.tree = row.tree_id;
    return comparisonOf("trl", { shared: chosen.turns, answers: [better.text, worse.text], preferred: 0 }, more);
  },
);

const sameTurns = (a: readonly Turn[], b: readonly Turn[]) => JSON.stringify(a) === JSON.stringify(b);

/** A row of TRL's conversational format. Each labelled answer says its levels as a request to this project's API does. */
export function toTrl({ turns, system, tree }: Conversation) {
  return {
    messages: [
      ...(system === undefined ? [] : [{ role: "system", content: system }]),
      ...turns.map(({ role, text, labels }) => ({
        role,
        content: text,
        ...(labels === undefined ? {} : { steer: { attributes: levelsOf(labels) } }),
      })),
    ],
    ...(tree === undefined ? {} : { tree_id: tree }),
  };
}
