import type { DecoderConfig } from "../graph/decoder.ts";
import { feedRows } from "./row-layout.ts";
import type { TrainingSession } from "./training-session.ts";

/** A text that attributes are read off at its last token, and what they should be; `null` where nobody said. */
export type AttributeRow = { tokens: readonly number[]; targets: readonly (number | null)[] };

/** `error`: the batch's part of the mean squared error, 0 where it has no targets. */
export type AttributeResult = { error: number; predictions: number[][] };

/** How many attributes of the rows have a target. */
export const targetCount = (rows: readonly AttributeRow[]): number =>
  rows.reduce((sum, { targets }) => sum + targets.filter((target) => target !== null).length, 0);

/**
 * Reads attributes off a batch and, where the session trains, computes the gradient of the error.
 *
 * @param present how many targets the error is a mean over: those of the whole step, of which the batch may be a part
 * @throws OnnxRuntimeError
 */
export function runAttributeStep(
  session: TrainingSession,
  config: DecoderConfig,
  rows: readonly AttributeRow[],
  present: number = targetCount(rows),
): AttributeResult {
  const targets = rows.flatMap((row) => row.targets);
  const attributes = targets.length / rows.length;
  const runs = rows.map(({ tokens }) => [{ tokens, fork: 0 }]);
  feedRows(session, config, runs, (sequence) => rows.map(({ tokens }, row) => row * sequence + tokens.length - 1));
  const shape = [rows.length, attributes];
  session.feed(
    "targets",
    Float32Array.from(targets, (target) => target ?? 0),
    shape,
  );
  session.feed(
    "weights",
    Float32Array.from(targets, (target) => (target === null ? 0 : 1 / present)),
    shape,
  );
  const predictions = session.result("predictions", shape);
  const error = session.result("error", []);
  session.run();
  return {
    error: error[0] ?? 0,
    predictions: rows.map((_, row) => [...predictions.subarray(row * attributes, (row + 1) * attributes)]),
  };
}
