import type { DecoderConfig } from "../../graph/decoder.ts";
import { runAttributeStep, targetCount } from "../../runtime/attribute-step.ts";
import type { TrainingSession } from "../../runtime/training-session.ts";
import { paddedTokens } from "../training/batches.ts";
import type { Measures } from "../training/measures.ts";
import type { MicroBatch } from "../training/train.ts";
import type { TrainingRow, TrainingSet } from "./training-set.ts";

/**
 * A step's loss: the mean squared error over all labels of its rows, however they are divided.
 *
 * @param batches indexes of rows that are computed together
 */
export function* attributeBatches(
  batches: readonly (readonly number[])[],
  { train, attributes }: TrainingSet,
  { session, config }: { session: TrainingSession; config: DecoderConfig },
): Generator<MicroBatch> {
  const chosen = batches.map((indexes) => indexes.flatMap((index) => train[index] ?? []));
  const present = targetCount(chosen.flat());
  for (const rows of chosen) {
    const lengths = rows.map(({ tokens }) => tokens.length);
    yield {
      tokens: paddedTokens(lengths, [[...lengths.keys()].sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0))]),
      run: () => measuresOf(rows, runAttributeStep(session, config, rows, present).predictions, attributes),
    };
  }
}

/** `error`: mean squared error; the same by attribute. */
function measuresOf(
  rows: readonly TrainingRow[],
  predictions: readonly (readonly number[])[],
  attributes: TrainingSet["attributes"],
): Measures {
  const error = { sum: 0, count: 0 };
  const measures: Measures = { error };
  for (const [column, name] of attributes.entries()) {
    for (const [row, { targets }] of rows.entries()) {
      const target = targets[column] ?? null;
      if (target === null) continue;
      const square = ((predictions[row]?.[column] ?? 0) - target) ** 2;
      const own = measures[name] ?? { sum: 0, count: 0 };
      measures[name] = { sum: own.sum + square, count: own.count + 1 };
      error.sum += square;
      error.count++;
    }
  }
  return measures;
}
