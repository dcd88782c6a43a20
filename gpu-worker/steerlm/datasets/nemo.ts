import { z } from "zod";
import { ATTRIBUTES, type AttributeLevels, attributeSchema, levelSchema } from "../../../schema/attributes.ts";
import { levelsOf } from "../rounding.ts";
import type { Conversation, Turn } from "./conversation.ts";
import { BadRow, conversationOf, type Format, has, rowFormat } from "./reader.ts";

/** The system prompt of NeMo's preprocessing, for conversations that bring none (NeMo-Aligner, steerlm/common.py). */
const NEMO_SYSTEM =
  "A chat between a curious user and an artificial intelligence assistant. " +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";

/** Each level of a label, in the attributes' order: `quality:4,toxicity:0`. */
function nemoLabel(levels: AttributeLevels): string {
  return ATTRIBUTES.flatMap((name) => (levels[name] === undefined ? [] : [`${name}:${levels[name]}`])).join(",");
}

/**
 * The levels of a label string. Keys of other versions (violence, `lang:en`, …) are no attributes here and are passed over.
 *
 * @throws BadRow where a part is no `key:value`, or a level is none of 0–4
 */
function parseNemoLabel(label: string): AttributeLevels {
  const levels: AttributeLevels = {};
  for (const part of label.trim().split(",")) {
    const [, key, value] = /^\s*([^:]+):([^:]+)$/.exec(part) ?? [];
    if (key === undefined || value === undefined) throw new BadRow(`label: "${part}" is not attribute:level`);
    const name = attributeSchema.safeParse(key.trim());
    if (!name.success) continue;
    const level = levelSchema.safeParse(Number(value));
    if (!level.success) throw new BadRow(`label: ${name.data} must be an integer from 0 to 4, is ${value}`);
    levels[name.data] = level.data;
  }
  return levels;
}

const ROLES = new Map<string, Turn["role"]>([
  ["user", "user"],
  ["human", "user"],
  ["assistant", "assistant"],
  ["gpt", "assistant"],
]);

const roleSchema = z.string().transform((from, context): Turn["role"] => {
  const role = ROLES.get(from.toLowerCase());
  if (role !== undefined) return role;
  context.addIssue({ code: "custom", message: "must be User or Assistant (or human, gpt)" });
  return z.NEVER;
});

const nemoSchema = z.object({
  conversations: z.array(z.object({ from: roleSchema, value: z.string(), label: z.string().nullish() })).min(1),
  system: z.string().nullish(),
  tree_id: z.string().min(1).nullish(),
});

export const nemo: Format = rowFormat(
  {
    name: "nemo",
    holds: "NeMo's SteerLM and ShareGPT: conversations of from, value, label; system",
    matches: (row) => has(row, "conversations"),
  },
  nemoSchema,
  ({ conversations, system, tree_id }) => {
    const turns = conversations.map(({ from, value, label }): Turn => {
      const turn: Turn = { role: from, text: value };
      if (from === "assistant" && typeof label === "string") turn.labels = parseNemoLabel(label);
      return turn;
    });
    const more: Partial<Conversation> = {};
    if (typeof system === "string" && system !== NEMO_SYSTEM) more.system = system;
    if (typeof tree_id === "string") more.tree = tree_id;
    return [conversationOf("nemo", turns, more)];
  },
);

/** A row that NeMo's chat dataset trains attribute-conditioned SFT on (`gpt_sft_chat_dataset.py`). */
export function toNemo({ turns, system, tree }: Conversation) {
  return {
    conversations: turns.map(({ role, text, labels }) => ({
      from: role === "user" ? "User" : "Assistant",
      value: text,
      label: labels === undefined ? null : nemoLabel(levelsOf(labels)) || null,
    })),
    system: system ?? NEMO_SYSTEM,
    mask: "User",
    type: "VALUE_TO_TEXT",
    ...(tree === undefined ? {} : { tree_id: tree }),
  };
}
