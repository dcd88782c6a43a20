import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { answeredTree, type MessageTree, THREADS, threadsOf } from "../../../../gpu-worker/steerlm/datasets/threads.ts";

type Message = { id: number; role: "user" | "assistant"; rank?: number | undefined };

/** Questions and answers take turns, as in OASST. Each message but the first replies to one before it. */
const anyTree = fc
  .array(fc.record({ to: fc.nat(), rank: fc.option(fc.nat(3), { nil: undefined }) }), { maxLength: 20 })
  .map((replies): MessageTree<Message> => {
    const root: MessageTree<Message> = { id: 0, role: "user", replies: [] };
    const messages = [root];
    for (const { to, rank } of replies) {
      const parent = messages[to % messages.length] ?? root;
      const role = parent.role === "user" ? "assistant" : "user";
      const message: MessageTree<Message> = { id: messages.length, role, rank, replies: [] };
      parent.replies.push(message);
      messages.push(message);
    }
    return root;
  });

const all = (tree: MessageTree<Message>): MessageTree<Message>[] => [tree, ...tree.replies.flatMap(all)];

describe("threads of any tree", () => {
  test("begin at the root, follow replies and end with an answer", () => {
    fc.assert(
      fc.property(anyTree, fc.constantFrom(...THREADS), (root, threads) => {
        const { tree } = answeredTree(root);
        for (const path of tree === undefined ? [] : threadsOf(tree, threads)) {
          expect(path[0]).toBe(tree);
          expect(path.at(-1)?.role).toBe("assistant");
          for (const [index, message] of path.slice(1).entries()) expect(path[index]?.replies).toContain(message);
        }
      }),
    );
  });

  test("hold every answer: at least once in all paths, exactly once as the end of a reply's", () => {
    fc.assert(
      fc.property(anyTree, (root) => {
        const answers = all(root).flatMap(({ id, role }) => (role === "assistant" ? [id] : []));
        const { tree } = answeredTree(root);
        const paths = tree === undefined ? [] : threadsOf(tree, "all");
        const held = new Set(paths.flat().flatMap(({ id, role }) => (role === "assistant" ? [id] : [])));
        expect(held).toEqual(new Set(answers));
        const ends = (tree === undefined ? [] : threadsOf(tree, "replies")).map((path) => path.at(-1)?.id);
        expect(ends).toEqual(answers);
      }),
    );
  });

  test("account for every message together with the questions nobody answered", () => {
    fc.assert(
      fc.property(anyTree, (root) => {
        const { tree, unanswered } = answeredTree(root);
        expect((tree === undefined ? 0 : all(tree).length) + unanswered).toBe(all(root).length);
      }),
    );
  });

  test("take the best answer at every fork, the first of equals, and one without a rank last", () => {
    fc.assert(
      fc.property(anyTree, (root) => {
        const { tree } = answeredTree(root);
        if (tree === undefined) return;
        const [path = []] = threadsOf(tree, "best");
        for (const [index, { replies }] of path.entries()) {
          const ranks = replies.map(({ rank }) => rank ?? Number.POSITIVE_INFINITY);
          expect(path[index + 1]).toBe(replies[ranks.indexOf(Math.min(...ranks))]);
        }
      }),
    );
  });
});
