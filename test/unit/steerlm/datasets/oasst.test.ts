import type { SchemaElement } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, test } from "vitest";
import type { Conversation } from "../../../../gpu-worker/steerlm/datasets/conversation.ts";
import { lines, outcomesOf } from "./read-file.ts";

type Node = {
  message_id: string;
  text: string;
  role: "prompter" | "assistant";
  lang: string;
  deleted: boolean;
  rank: number | null;
  labels: Record<string, { value: number; count: number }> | null;
  replies: Node[];
};

const votes = (values: Record<string, number>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value, count: 3 }]));

function node(message_id: string, more: Partial<Node> = {}, ...replies: Node[]): Node {
  const role = message_id.startsWith("q") ? "prompter" : "assistant";
  return {
    message_id,
    text: `Text of ${message_id}`,
    role,
    lang: "en",
    deleted: false,
    rank: null,
    labels: null,
    ...more,
    replies,
  };
}

/**
 * q1 ─ a1 (rank 1) ─ q2 ─ a3
 *    │             └ q3 (nobody answered)
 *    └ a2 (rank 0)
 */
const tree = (changes: Record<string, Partial<Node>> = {}) => ({
  message_tree_id: "q1",
  tree_state: "ready_for_export",
  prompt: node(
    "q1",
    { labels: votes({ quality: 1 }), ...changes.q1 },
    node(
      "a1",
      { rank: 1, labels: votes({ quality: 0.625, toxicity: 0, violence: 0.5, helpfulness: 0.75 }), ...changes.a1 },
      node("q2", changes.q2, node("a3", { labels: votes({ humor: 1 }), ...changes.a3 })),
      node("q3", changes.q3),
    ),
    node("a2", { rank: 0, labels: votes({ creativity: 0.375 }), ...changes.a2 }),
  ),
});

/** The same messages one a row, labels in parallel lists. */
function flat(root: ReturnType<typeof tree>) {
  const rows: object[] = [];
  const walk = ({ replies, labels, ...message }: Node, parent_id: string | null) => {
    const entries = Object.entries(labels ?? {});
    rows.push({
      ...message,
      parent_id,
      message_tree_id: root.message_tree_id,
      labels: labels && {
        name: entries.map(([name]) => name),
        value: entries.map(([, { value }]) => value),
        count: entries.map(([, { count }]) => count),
      },
    });
    for (const reply of replies) walk(reply, message.message_id);
  };
  walk(root.prompt, null);
  return rows;
}

const STRING: Partial<SchemaElement> = { type: "BYTE_ARRAY", converted_type: "UTF8" };
const optional = (name: string, type: Partial<SchemaElement>): SchemaElement => ({
  ...type,
  name,
  repetition_type: "OPTIONAL",
});
const list = (name: string, type: Partial<SchemaElement>): SchemaElement[] => [
  { name, num_children: 1, repetition_type: "OPTIONAL", converted_type: "LIST" },
  { name: "list", num_children: 1, repetition_type: "REPEATED" },
  optional("element", type),
];

const paths = (conversations: readonly Conversation[]) =>
  conversations.map(({ turns }) => turns.map(({ id }) => id).join(" "));

describe("OASST", () => {
  test("takes every path to an answer that no answer follows, and says what it left out", async () => {
    const outcomes = await outcomesOf(lines(tree()));
    const conversations = outcomes.flatMap((outcome) => (outcome.kind === "conversation" ? outcome.conversation : []));
    expect(paths(conversations)).toEqual(["q1 a1 q2 a3", "q1 a2"]);
    expect(outcomes).toContainEqual({ kind: "left out", reason: "question without an answer", count: 1 });
  });

  test("takes the path of the best answers where asked", async () => {
    const outcomes = await outcomesOf(lines(tree()), { threads: "best" });
    expect(outcomes.filter(({ kind }) => kind === "conversation")).toHaveLength(1);
    expect(outcomes).toContainEqual(
      expect.objectContaining({ conversation: expect.objectContaining({ id: "a2", tree: "q1" }) }),
    );
  });

  test("takes each answer once, with its own labels only, where asked", async () => {
    const outcomes = await outcomesOf(lines(tree()), { threads: "replies" });
    const conversations = outcomes.flatMap((outcome) => (outcome.kind === "conversation" ? outcome.conversation : []));
    expect(paths(conversations)).toEqual(["q1 a1", "q1 a1 q2 a3", "q1 a2"]);
    for (const { turns } of conversations) {
      expect(turns.slice(0, -1).some(({ labels }) => labels !== undefined)).toBe(false);
      expect(turns.at(-1)?.labels).toBeDefined();
    }
  });

  test("puts votes on the scale of 0–4 under the attributes' names, and labels answers only", async () => {
    const [first] = (await outcomesOf(lines(tree()))).flatMap((outcome) =>
      outcome.kind === "conversation" ? outcome.conversation : [],
    );
    expect(first?.turns.map(({ labels }) => labels)).toEqual([
      undefined,
      { quality: 2.5, toxicity: 0, helpfulness: 3 },
      undefined,
      { humor: 4 },
    ]);
  });

  test("reads the flat form alike, in any order of rows", async () => {
    const nested = await outcomesOf(lines(tree()));
    const rows = flat(tree());
    expect(await outcomesOf(lines(...rows))).toEqual(nested);
    const reversed = await outcomesOf(lines(...rows.toReversed()));
    expect(reversed).toHaveLength(nested.length);
  });

  test("reads the flat form in parquet alike, as the hub has it", async () => {
    const rows = flat(tree());
    const content = parquetWriteBuffer({
      schema: [
        { name: "root", num_children: 9 },
        ...["message_id", "parent_id", "message_tree_id", "text", "role", "lang"].map((name) => optional(name, STRING)),
        optional("deleted", { type: "BOOLEAN" }),
        optional("rank", { type: "INT64" }),
        { name: "labels", num_children: 3, repetition_type: "OPTIONAL" },
        ...list("name", STRING),
        ...list("value", { type: "DOUBLE" }),
        ...list("count", { type: "INT32" }),
      ],
      columnData: [
        "message_id",
        "parent_id",
        "message_tree_id",
        "text",
        "role",
        "lang",
        "deleted",
        "rank",
        "labels",
      ].map((name) => ({
        name,
        data: rows.map((row) => {
          const value = Object.entries(row).find(([key]) => key === name)?.[1];
          return typeof value === "number" ? BigInt(value) : value;
        }),
      })),
    });
    expect(await outcomesOf(new Uint8Array(content))).toEqual(await outcomesOf(lines(...rows)));
  });

  test("leaves out deleted messages, spam and other languages, and all that was said after them", async () => {
    const spam = { labels: votes({ spam: 0.5, quality: 0.5 }) };
    const count = async (changes: Parameters<typeof tree>[0], options = {}) =>
      Object.fromEntries(
        (await outcomesOf(lines(tree(changes)), options)).flatMap((outcome) =>
          outcome.kind === "left out" ? [[outcome.reason, outcome.count]] : [],
        ),
      );
    expect(await count({ a1: { deleted: true } })).toEqual({ deleted: 1, "parent missing or left out": 3 });
    expect(await count({ a1: { deleted: true } }, { keepDeleted: true })).toEqual({ "question without an answer": 1 });
    expect(await count({ a2: spam })).toEqual({ spam: 1, "question without an answer": 1 });
    expect(await count({ a2: spam }, { spam: 0.6 })).toEqual({ "question without an answer": 1 });
    expect(await count({ a3: { lang: "de" } }, { languages: ["en"] })).toEqual({
      "other language": 1,
      "question without an answer": 2,
    });
  });

  test("counts messages whose parent is not in a flat file", async () => {
    const rows = flat(tree()).filter((row) => !("message_id" in row) || row.message_id !== "a1");
    expect(await outcomesOf(lines(...rows))).toContainEqual({
      kind: "left out",
      reason: "parent missing or left out",
      count: 3,
    });
  });

  test("reports a vote that is none, and a message that comes twice", async () => {
    const odd = tree({ a2: { labels: votes({ quality: 1.5 }) } });
    expect(await outcomesOf(lines(tree(), odd))).toContainEqual(expect.objectContaining({ kind: "bad row", line: 2 }));
    const [root = {}, ...rest] = flat(tree());
    expect(await outcomesOf(lines(root, root, ...rest))).toContainEqual({
      kind: "bad row",
      line: 2,
      reason: "message_id q1 came before",
    });
  });
});
