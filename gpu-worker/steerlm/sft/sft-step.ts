import type { DecoderConfig } from "../../graph/decoder.ts";
import { type ReplyBatch, runReplyStep } from "../../runtime/reply-step.ts";
import type { TrainingSession } from "../../runtime/training-session.ts";
import { packRows, paddedTokens } from "../training/batches.ts";
import type { Measures } from "../training/measures.ts";
import type { MicroBatch } from "../training/train.ts";
import { type Example, exampleLength } from "./example.ts";

/** Padded tokens of a step, of which so many are computed at once. */
export type StepSize = { batchTokens: number; microTokens: number };

/** Examples until they fill a step. The one that fills it is in it, whatever its length: leaving out long ones would train on short ones. */
export function examplesOf(next: () => Example, { batchTokens, microTokens }: StepSize): Example[] {
  const examples: Example[] = [];
  const lengths: number[] = [];
  do {
    const example = next();
    examples.push(example);
    lengths.push(exampleLength(example));
  } while (paddedTokens(lengths, packRows(lengths, microTokens)) < batchTokens);
  return examples;
}

/**
 * A step's loss: the weighted mean over its replies' tokens of −log p, and `contrast` times the mean over its pairs of
 * softplus(−½ (log p_own − log p_other)). The gradient's size does not depend on how much a step holds.
 */
export function* sftBatches(
  examples: readonly Example[],
  contrast: number,
  { microTokens }: StepSize,
  { session, config }: { session: TrainingSession; config: DecoderConfig },
): Generator<MicroBatch> {
  const total = examples.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b, 0), 0);
  const pairs = examples.filter(({ other }) => other !== null).length;
  const lengths = examples.map(exampleLength);
  for (const indexes of packRows(lengths, microTokens)) {
    const chosen = indexes.flatMap((index) => examples[index] ?? []);
    const pairWeight = pairs === 0 ? 0 : contrast / pairs;
    yield {
      tokens: paddedTokens(lengths, [indexes]),
      run: () => {
        const losses = runReplyStep(session, config, batchOf(chosen, 1 / total, pairWeight));
        return measuresOf(chosen, losses, pairWeight);
      },
    };
  }
}

/** Replies are counted row by row, a row's own before its other. */
function batchOf(examples: readonly Example[], scale: number, weight: number): ReplyBatch {
  let reply = 0;
  const pairs: ReplyBatch["pairs"][number][] = [];
  const rows = examples.map(({ tokens, weights, inReply, other }) => {
    const own = { tokens, weights: weights.map((one) => one * scale), inReply };
    if (other === null) {
      reply++;
      return own;
    }
    pairs.push({ own: reply, other: reply + 1, weight });
    reply += 2;
    return { ...own, alternatives: [other] };
  });
  return { rows, pairs };
}

/** `nll`: mean −log p of a reply's token. `contrast`: mean of the discriminative term. `right_…`: share of pairs ranked right. */
function measuresOf(
  examples: readonly Example[],
  losses: ReturnType<typeof runReplyStep>,
  pairWeight: number,
): Measures {
  const nll = { sum: 0, count: 0 };
  const measures: Measures = { nll };
  let [reply, pairs] = [0, 0];
  for (const { inReply, other } of examples) {
    nll.sum -= losses.replyLogprobs[reply] ?? 0;
    nll.count += inReply.filter(Boolean).length;
    if (other !== null) {
      const isRight = (losses.replyLogprobs[reply] ?? 0) > (losses.replyLogprobs[reply + 1] ?? 0);
      const right = measures[`right_${other.focus}`] ?? { sum: 0, count: 0 };
      measures[`right_${other.focus}`] = { sum: right.sum + (isRight ? 1 : 0), count: right.count + 1 };
      reply++;
      pairs++;
    }
    reply++;
  }
  if (pairs > 0 && pairWeight > 0) measures.contrast = { sum: losses.contrast / pairWeight, count: pairs };
  return measures;
}
