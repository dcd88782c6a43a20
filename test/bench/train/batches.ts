import { seededRandom } from "../../../gpu-worker/engine/random.ts";
import type { ReplyBatch } from "../../../gpu-worker/runtime/reply-step.ts";
import { promptSource } from "../engine/prompts.ts";

/** Rows of conversations; `contrast`: each also with another label line, to be told apart by the discriminative term. */
export type Cell = { name: string; rows: number; tokens: number; contrast: boolean };

/** Of a conversation, what is the reply's, which alone is learnt; a fifth of the rest is the label line. */
const REPLY_SHARE = 0.6;
const LABEL_SHARE = 0.2;
/** Rows are so much shorter than the longest, at most: a trainer that packs rows by their lengths has no others. */
const SHORTER = 0.15;
/** Weight of all pairs together (DESIGN §5). */
const CONTRAST = 0.3;

/** A batch of random tokens, and how many tokens its conversations have, each counted whole. */
export function seededBatch({ rows, tokens, contrast }: Cell, seed: number): { batch: ReplyBatch; tokens: number } {
  const random = seededRandom(seed);
  const draw = promptSource(seed);
  const lengths = Array.from({ length: rows }, (_, row) =>
    row === 0 ? tokens : Math.round(tokens * (1 - SHORTER * random())),
  );
  const replies = lengths.map((length) => Math.round(length * REPLY_SHARE));
  const scale = 1 / replies.reduce((sum, reply) => sum + reply, 0);
  const batchRows = lengths.map((length, row) => {
    const reply = replies[row] ?? 0;
    const label = Math.round((length - reply) * LABEL_SHARE);
    const fork = length - reply - label;
    const given = draw(length - reply);
    const answer = draw(reply);
    const isReply = Array.from({ length }, (_, index) => index >= length - reply);
    const own = {
      tokens: [...given, ...answer],
      weights: isReply.map((is) => (is ? scale : 0)),
      inReply: isReply,
    };
    if (!contrast) return own;
    const inReply = isReply.slice(fork);
    const other = { fork, tokens: [...draw(label), ...answer], weights: inReply.map(() => 0), inReply };
    return { ...own, alternatives: [other] };
  });
  const pairs = contrast
    ? lengths.map((_, row) => ({ own: 2 * row, other: 2 * row + 1, weight: CONTRAST / rows }))
    : [];
  const sum = lengths.reduce((total, length) => total + length, 0);
  return { batch: { rows: batchRows, pairs }, tokens: contrast ? 2 * sum : sum };
}
