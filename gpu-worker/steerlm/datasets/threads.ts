/** A message with the answers to it. */
export type MessageTree<T> = T & { replies: MessageTree<T>[] };

export const THREADS = ["all", "best", "replies"] as const;
/**
 * Which threads of a tree become conversations:
 *
 * - `all`: every path from the root to an answer that no answer follows, as in the paper's preprocessing. What stands before a
 *   fork is repeated in each of its paths.
 * - `best`: one path a tree, which takes the best answer at every fork.
 * - `replies`: for each answer the path to it, of which it alone keeps its labels. Every label counts once.
 */
export type Threads = (typeof THREADS)[number];

type Ranked = { role: "user" | "assistant"; rank?: number | undefined };

/** The tree without questions that nobody answered, and how many they were; undefined where no answer is left. */
export function answeredTree<T extends Ranked>(
  root: MessageTree<T>,
): { tree: MessageTree<T> | undefined; unanswered: number } {
  const below = root.replies.map(answeredTree);
  const replies = below.flatMap(({ tree }) => tree ?? []);
  const unanswered = below.reduce((sum, branch) => sum + branch.unanswered, 0);
  if (replies.length === 0 && root.role === "user") return { tree: undefined, unanswered: unanswered + 1 };
  return { tree: { ...root, replies }, unanswered };
}

/** The threads of a tree, each from its root on. */
export function threadsOf<T extends Ranked>(root: MessageTree<T>, threads: Threads): MessageTree<T>[][] {
  if (threads === "best") return [bestPath(root)];
  const paths: MessageTree<T>[][] = [];
  const walk = (message: MessageTree<T>, before: MessageTree<T>[]) => {
    const path = [...before, message];
    if (threads === "replies" ? message.role === "assistant" : message.replies.length === 0) paths.push(path);
    for (const reply of message.replies) walk(reply, path);
  };
  walk(root, []);
  return paths;
}

function bestPath<T extends Ranked>(root: MessageTree<T>): MessageTree<T>[] {
  const path = [root];
  for (let at = root; ; ) {
    const [best] = at.replies.toSorted(
      (a, b) => (a.rank ?? Number.POSITIVE_INFINITY) - (b.rank ?? Number.POSITIVE_INFINITY) || 0,
    );
    if (best === undefined) return path;
    path.push(best);
    at = best;
  }
}
