import type { DecoderConfig } from "../graph/decoder.ts";
import { feedRows, type Run } from "./row-layout.ts";
import type { TrainingSession } from "./training-session.ts";

/** A reply with what precedes it. Both lists go with `tokens`; a row's first token is given, so it has weight 0 and is in no reply. */
type Reply = {
  tokens: readonly number[];
  /** Of each token's −log p in the likelihood term; 0 for what is given. */
  weights: readonly number[];
  /** Whether the token's log p is part of the reply's. */
  inReply: readonly boolean[];
};

/** One conversation, and what else might have followed its first `fork` tokens: the same reply under another label line. */
type ReplyRow = Reply & { alternatives?: readonly (Reply & { fork: number })[] };

/** A reply under its own label line and under another: indexes into the batch's replies, a row's own before its alternatives'. */
type ReplyPair = { own: number; other: number; weight: number };

export type ReplyBatch = { rows: readonly ReplyRow[]; pairs: readonly ReplyPair[] };

export type ReplyLosses = {
  /** −Σ weight · log p(token). */
  likelihood: number;
  /** Σ weight · softplus(−½ (log p_own − log p_other)) over the pairs. */
  contrast: number;
  /** log p of each reply. */
  replyLogprobs: number[];
  /** log p of every token that has a weight or is in a reply, reply after reply. */
  tokenLogprobs: number[];
};

/** A token whose log p is wanted. `reader`: the place in the row after which it is predicted. */
type ScoredToken = { row: number; reply: number; reader: number; token: number; weight: number; isInReply: boolean };

function scoredTokens(rows: readonly ReplyRow[]): ScoredToken[] {
  let reply = -1;
  return rows.flatMap((whole, row) => {
    let start = 0;
    return runsOf(whole).flatMap(({ tokens, weights, inReply, fork }) => {
      reply++;
      const first = start;
      start += tokens.length;
      return tokens.flatMap((token, index) => {
        const [weight, isInReply] = [weights[index] ?? 0, inReply[index] ?? false];
        const reader = index > 0 ? first + index - 1 : fork - 1;
        return reader >= 0 && (weight !== 0 || isInReply) ? [{ row, reply, reader, token, weight, isInReply }] : [];
      });
    });
  });
}

const runsOf = (row: ReplyRow): (Reply & Run)[] => [{ ...row, fork: 0 }, ...(row.alternatives ?? [])];

/**
 * Computes the losses of a batch and, where the session trains, the gradients of their sum.
 *
 * @throws OnnxRuntimeError
 * @throws Error where no token of the batch has a weight or is in a reply
 */
export function runReplyStep(
  session: TrainingSession,
  config: DecoderConfig,
  { rows, pairs }: ReplyBatch,
): ReplyLosses {
  const runs = rows.map(runsOf);
  const replies = runs.flat().length;
  const scored = scoredTokens(rows);
  const count = scored.length;
  if (count === 0) throw new Error("No token of the batch has a weight or is in a reply");
  feedRows(session, config, runs, (sequence) => scored.map(({ row, reader }) => row * sequence + reader));
  const membership = new Float32Array(replies * count);
  for (const [index, { reply, isInReply }] of scored.entries()) if (isInReply) membership[reply * count + index] = 1;
  const integers = (values: number[]) => BigInt64Array.from(values, BigInt);
  const floats = (values: number[]) => Float32Array.from(values);
  session.feed("targets", integers(scored.map(({ token }) => token)), [count, 1]);
  session.feed("weights", floats(scored.map(({ weight }) => weight)), [count, 1]);
  session.feed("membership", membership, [replies, count]);
  session.feed("own", integers(pairs.map(({ own }) => own)), [pairs.length]);
  session.feed("other", integers(pairs.map(({ other }) => other)), [pairs.length]);
  session.feed("pair_weights", floats(pairs.map(({ weight }) => weight)), [pairs.length, 1]);

  const likelihood = session.result("likelihood", []);
  const contrast = session.result("contrast", []);
  const replyLogprobs = session.result("reply_logprobs", [replies, 1]);
  const tokenLogprobs = session.result("token_logprobs", [count, 1]);
  session.run();
  return {
    likelihood: likelihood[0] ?? 0,
    contrast: contrast[0] ?? 0,
    replyLogprobs: [...replyLogprobs],
    tokenLogprobs: [...tokenLogprobs],
  };
}
