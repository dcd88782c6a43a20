import type { DecoderConfig } from "../graph/decoder.ts";
import type { TrainingSession } from "./training-session.ts";

/** A run of tokens: a whole row, or one that goes on after the first `fork` tokens of the row it lies in. */
export type Run = { tokens: readonly number[]; fork: number };

/** What stands behind a row that is shorter than the longest. No loss depends on it. */
const PADDING = 0n;

/**
 * Feeds rows that each hold one or more runs: the first from the start, others behind it as if they followed its first `fork` tokens.
 * So what two replies have in common is computed once.
 *
 * A token sees itself and those before it in its own run, and the tokens that its run follows.
 *
 * @param wanted which of the padded rows' tokens the losses are about, given the padded length
 */
export function feedRows(
  session: TrainingSession,
  config: DecoderConfig,
  rows: readonly (readonly Run[])[],
  wanted: (sequence: number) => number[],
): void {
  const sequence = Math.max(...rows.map(rowLength));
  const ids = new BigInt64Array(rows.length * sequence).fill(PADDING);
  const positions = new BigInt64Array(ids.length);
  const group = config.heads / config.kvHeads;
  const mask = new Float32Array(ids.length * group * sequence).fill(Number.NEGATIVE_INFINITY);
  for (const [row, runs] of rows.entries()) {
    let start = 0;
    for (const { tokens, fork } of runs) {
      for (const [index, token] of tokens.entries()) {
        const place = row * sequence + start + index;
        ids[place] = BigInt(token);
        positions[place] = BigInt(fork + index);
        for (let head = 0; head < group; head++) {
          const query = mask.subarray((place * group + head) * sequence, (place * group + head + 1) * sequence);
          query.fill(0, 0, fork);
          query.fill(0, start, start + index + 1);
        }
      }
      start += tokens.length;
    }
    // Padding sees one token, for softmax over nothing is not a number.
    for (let query = (row * sequence + start) * group; query < (row + 1) * sequence * group; query++)
      mask[query * sequence] = 0;
  }
  session.feed("input_ids", ids, [rows.length, sequence]);
  session.feed("positions", positions, [rows.length, sequence]);
  session.feed("mask", mask, [rows.length, 1, sequence * group, sequence]);
  const indexes = BigInt64Array.from(wanted(sequence), BigInt);
  session.feed("wanted", indexes, [indexes.length]);
}

/** Tokens of all runs in a row. */
const rowLength = (runs: readonly Run[]): number => runs.reduce((sum, { tokens }) => sum + tokens.length, 0);
