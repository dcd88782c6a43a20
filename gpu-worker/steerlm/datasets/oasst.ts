import { z } from "zod";
import { type Attribute, attributeSchema } from "../../../schema/attributes.ts";
import type { Labels } from "../rounding.ts";
import type { Conversation, Turn } from "./conversation.ts";
import { type LeftOutReason, leftOut, type Outcome, taken } from "./outcome.ts";
import { BadRow, checkRow, type Format, has, type Reader, type ReadOptions } from "./reader.ts";
import { answeredTree, type MessageTree, threadsOf } from "./threads.ts";

/** What annotators were asked about under the same name as an attribute; the other ten labels have none. */
const LABELLED: readonly Attribute[] = ["quality", "toxicity", "humor", "creativity", "helpfulness"];

const voteSchema = z.number().min(0, { error: "must be from 0 to 1" }).max(1, { error: "must be from 0 to 1" });

/** Means of the votes by name: `{name: {value}}` in trees, parallel lists in the flat form. */
const votesSchema = z
  .union(
    [
      z
        .object({ name: z.array(z.string()), value: z.array(voteSchema) })
        .refine(({ name, value }) => name.length === value.length, { error: "name and value must be as long" })
        .transform(({ name, value }) => new Map(name.map((label, index) => [label, value[index]]))),
      z
        .record(z.string(), z.object({ value: voteSchema }))
        .transform((labels) => new Map(Object.entries(labels).map(([label, { value }]) => [label, value]))),
    ],
    { error: "must hold means of votes from 0 to 1, by name" },
  )
  .nullish()
  .transform((votes) => votes ?? new Map<string, number | undefined>());

const messageSchema = z.object({
  message_id: z.string().min(1),
  text: z.string(),
  role: z.enum(["prompter", "assistant"]),
  lang: z.string().nullish(),
  deleted: z.boolean().nullish(),
  rank: z.int().min(0).nullish(),
  labels: votesSchema,
});
type Message = z.infer<typeof messageSchema>;

type Nested = Message & { replies?: Nested[] | null | undefined };
const nestedSchema: z.ZodType<Nested> = z.lazy(() =>
  z.object({ ...messageSchema.shape, replies: z.array(nestedSchema).nullish() }),
);

const treeSchema = z.object({ message_tree_id: z.string().min(1), prompt: nestedSchema });

const flatSchema = z.object({
  ...messageSchema.shape,
  parent_id: z.string().nullish(),
  message_tree_id: z.string().min(1),
});
type Flat = z.infer<typeof flatSchema>;

type Entry = Pick<Turn, "role" | "rank"> & { message: Message };

function entryOf(message: Message): Entry {
  const role = message.role === "prompter" ? "user" : "assistant";
  return message.rank === null || message.rank === undefined
    ? { role, message }
    : { role, message, rank: message.rank };
}

function labelsOf({ labels: votes }: Message): Labels {
  const labels: Labels = {};
  for (const name of LABELLED) {
    const value = votes.get(name);
    if (value !== undefined) labels[name] = value * 4;
  }
  return labels;
}

function refusal(message: Message, options: ReadOptions): LeftOutReason | undefined {
  if (message.deleted === true && !options.keepDeleted) return "deleted";
  if ((message.labels.get("spam") ?? 0) >= options.spam) return "spam";
  const { languages } = options;
  if (languages !== undefined && !languages.includes(message.lang ?? "")) return "other language";
  return undefined;
}

const sizeOf = (tree: MessageTree<Entry>): number => tree.replies.reduce((sum, reply) => sum + sizeOf(reply), 1);

/** The tree without refused messages and what was said after them, which makes no sense alone. */
function pruned(tree: MessageTree<Entry>, options: ReadOptions): { tree?: MessageTree<Entry>; outcomes: Outcome[] } {
  const reason = refusal(tree.message, options);
  if (reason !== undefined) {
    const orphans = sizeOf(tree) - 1;
    return { outcomes: [leftOut(reason), ...(orphans === 0 ? [] : [leftOut("parent missing or left out", orphans)])] };
  }
  const below = tree.replies.map((reply) => pruned(reply, options));
  return {
    tree: { ...tree, replies: below.flatMap((branch) => branch.tree ?? []) },
    outcomes: below.flatMap((branch) => branch.outcomes),
  };
}

function turnOf({ message, role, rank }: Entry, labelled: boolean): Turn {
  const turn: Turn = { role, text: message.text, id: message.message_id };
  if (rank !== undefined) turn.rank = rank;
  const labels = labelsOf(message);
  if (labelled && role === "assistant" && attributeSchema.options.some((name) => name in labels)) turn.labels = labels;
  return turn;
}

function conversationsOf(id: string, root: MessageTree<Entry>, options: ReadOptions): Outcome[] {
  const { tree, outcomes } = pruned(root, options);
  if (tree === undefined) return outcomes;
  const answered = answeredTree(tree);
  if (answered.unanswered > 0) outcomes.push(leftOut("question without an answer", answered.unanswered));
  if (answered.tree === undefined) return outcomes;
  const paths = threadsOf(answered.tree, options.threads);
  return [
    ...outcomes,
    ...paths.map((path) => {
      const last = path.length - 1;
      const turns = path.map((entry, index) => turnOf(entry, options.threads !== "replies" || index === last));
      const conversation: Conversation = { id: path[last]?.message.message_id ?? id, source: "oasst", tree: id, turns };
      return taken(conversation);
    }),
  ];
}

const treeOfNested = (nested: Nested): MessageTree<Entry> => ({
  ...entryOf(nested),
  replies: (nested.replies ?? []).map(treeOfNested),
});

export const oasstTrees: Format = {
  name: "oasst-trees",
  holds: "OpenAssistant's message trees: message_tree_id, prompt with its replies",
  matches: (row) => has(row, "message_tree_id", "prompt"),
  reader: (options) => ({
    row: (value) => {
      const { message_tree_id, prompt } = checkRow(treeSchema, value);
      return conversationsOf(message_tree_id, treeOfNested(prompt), options);
    },
    end: () => [],
  }),
};

/** Flat messages come in any order, so all are held until the file ends. */
function flatReader(options: ReadOptions): Reader {
  const messages = new Map<string, Flat>();
  return {
    row: (value) => {
      const message = checkRow(flatSchema, value);
      if (messages.has(message.message_id)) throw new BadRow(`message_id ${message.message_id} came before`);
      messages.set(message.message_id, message);
      return [];
    },
    end: () => {
      const replies = Map.groupBy(messages.values(), (message) => message.parent_id ?? "");
      const grow = (message: Flat): MessageTree<Entry> => ({
        ...entryOf(message),
        replies: (replies.get(message.message_id) ?? []).map(grow),
      });
      const roots = (replies.get("") ?? []).map((root) => ({ id: root.message_tree_id, tree: grow(root) }));
      const orphans = messages.size - roots.reduce((sum, { tree }) => sum + sizeOf(tree), 0);
      return [
        ...(orphans === 0 ? [] : [leftOut("parent missing or left out", orphans)]),
        ...roots.flatMap(({ id, tree }) => conversationsOf(id, tree, options)),
      ];
    },
  };
}

export const oasstFlat: Format = {
  name: "oasst-flat",
  holds: "OpenAssistant's messages, one a row: message_id, parent_id, text, role, labels",
  matches: (row) => has(row, "message_id", "role", "text"),
  reader: flatReader,
};
