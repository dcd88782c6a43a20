import type { DecoderConfig } from "../graph/decoder.ts";
import { queryGroups } from "../graph/decoder.ts";
import { type DecoderBatch, MASKED } from "../runtime/decoder-session.ts";
import type { KvPool } from "./kv-pool.ts";

/** The part of one sequence that a forward pass computes: `tokens`, which follow `computed` tokens already in the pool. */
export type BatchRow = { tokens: number[]; computed: number };

/**
 * Rows of equal length in neighbouring slots, as one forward pass that returns the logits after each row's last token.
 *
 * @param firstSlot slot of the first row.
 */
export function decoderBatch(config: DecoderConfig, pool: KvPool, firstSlot: number, rows: BatchRow[]): DecoderBatch {
  const sequence = rows[0]?.tokens.length ?? 0;
  const pastSlots = pool.stride;
  const ids = new BigInt64Array(rows.length * sequence);
  const positions = new BigInt64Array(rows.length * sequence);
  for (const [row, { tokens, computed }] of rows.entries()) {
    for (const [index, token] of tokens.entries()) {
      ids[row * sequence + index] = BigInt(token);
      positions[row * sequence + index] = BigInt(computed + index);
    }
  }
  return {
    rows: rows.length,
    sequence,
    pastSlots,
    ids,
    positions,
    mask: attentionMask(rows, sequence, pastSlots, queryGroups(config)),
    logitRows: BigInt64Array.from(rows, (_, row) => BigInt((row + 1) * sequence - 1)),
    past: (layer, kind) => pool.view(layer, kind, firstSlot, rows.length),
  };
}

/** [rows, 1, groups · sequence, pastSlots + sequence]: a token sees its row's past and, of the new tokens, itself and those before. */
function attentionMask(rows: BatchRow[], sequence: number, pastSlots: number, groups: number): Float32Array {
  const width = pastSlots + sequence;
  const mask = new Float32Array(rows.length * groups * sequence * width);
  let start = 0;
  for (const { computed } of rows) {
    for (let group = 0; group < groups; group++) {
      for (let query = 0; query < sequence; query++) {
        mask.fill(MASKED, start + computed, start + pastSlots);
        mask.fill(MASKED, start + pastSlots + query + 1, start + width);
        start += width;
      }
    }
  }
  return mask;
}
