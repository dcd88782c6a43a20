import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KvPool } from "../../gpu-worker/engine/kv-pool.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { INT8_LAYOUTS } from "../fixtures/int8-layouts.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { TINY_CONFIG, tinyDecoder, tinyWeights } from "../fixtures/tiny-llama.ts";

const TOKENS = [5, 100, 42, 7, 250, 99, 3, 180, 64, 11];
const expected = referenceLogits(TINY_CONFIG, tinyWeights(), TOKENS);

let session: DecoderSession;

beforeAll(async () => {
  session = new DecoderSession(await tinyDecoder("fp32"), TINY_CONFIG, 1);
});
afterAll(() => session.release());

/** Computes each row's piece in one pass; returns the logits after each row's last token. */
function forward(pool: KvPool, firstSlot: number, rows: { tokens: number[]; computed: number }[]): Float32Array[] {
  const { vocab } = TINY_CONFIG;
  const logits = session.run({
    cache: pool.cache,
    firstSlot,
    tokens: rows.map(({ tokens }) => tokens),
    computed: rows.map(({ computed }) => computed),
  });
  return rows.map((_, row) => logits.slice(row * vocab, (row + 1) * vocab));
}

function expectClose(actual: Float32Array | undefined, wanted: number[] | undefined, tolerance: number) {
  expect(actual).toHaveLength(wanted?.length ?? 0);
  const worst = Math.max(...Array.from(actual ?? [], (value, index) => Math.abs(value - (wanted?.[index] ?? 0))));
  expect(worst).toBeLessThan(tolerance);
}

describe("the decoder graph", () => {
  it("computes what a plain implementation of the model computes, in one pass over the prompt", () => {
    const pool = new KvPool(session, { rows: 3, kvBytes: 2 ** 24 });
    pool.fit(1, TOKENS.length, []);
    const [logits] = forward(pool, 0, [{ tokens: TOKENS, computed: 0 }]);
    expectClose(logits, expected.at(-1), 1e-4);
  });

  it("computes the same token by token and in pieces of any length", () => {
    for (const pieces of [
      [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
      [3, 1, 4, 2],
      [9, 1],
    ]) {
      const pool = new KvPool(session, { rows: 3, kvBytes: 2 ** 24 });
      pool.fit(1, TOKENS.length, []);
      let computed = 0;
      for (const length of pieces) {
        const [logits] = forward(pool, 0, [{ tokens: TOKENS.slice(computed, computed + length), computed }]);
        computed += length;
        expectClose(logits, expected[computed - 1], 1e-4);
      }
    }
  });

  it("decodes rows of different lengths in one batch as it does each alone", () => {
    const pool = new KvPool(session, { rows: 3, kvBytes: 2 ** 24 });
    pool.fit(3, 64, []);
    const lengths = [2, 9, 5];
    for (const [slot, length] of lengths.entries()) {
      forward(pool, slot, [{ tokens: TOKENS.slice(0, length), computed: 0 }]);
    }
    const rows = lengths.map((length) => ({ tokens: TOKENS.slice(length, length + 1), computed: length }));
    const logits = forward(pool, 0, rows);
    for (const [row, length] of lengths.entries()) expectClose(logits[row], expected[length], 1e-4);
  });

  it("keeps every sequence's keys and values when slots grow, move and shrink", () => {
    const pool = new KvPool(session, { rows: 3, kvBytes: 2 ** 24 });
    pool.fit(2, 10, []);
    forward(pool, 0, [{ tokens: TOKENS.slice(0, 4), computed: 0 }]);
    forward(pool, 1, [{ tokens: TOKENS.slice(0, 6), computed: 0 }]);
    pool.fit(3, 600, [4, 6]);
    pool.cache.swap(0, 1, 4, 6);
    pool.cache.copy(1, 2, 4);
    pool.fit(3, 10, [6, 4, 4]);
    expect(pool.cache.room).toBe(128);
    const [long] = forward(pool, 0, [{ tokens: TOKENS.slice(6, 7), computed: 6 }]);
    expectClose(long, expected[6], 1e-4);
    const [short] = forward(pool, 2, [{ tokens: TOKENS.slice(4, 5), computed: 4 }]);
    expectClose(short, expected[4], 1e-4);
  });

  it.each(INT8_LAYOUTS)("stays close to float32 with weights as %s", async (layout) => {
    const int8 = new DecoderSession(await tinyDecoder(layout), TINY_CONFIG, 1);
    try {
      const cache = int8.allocate(1, TOKENS.length);
      const logits = int8.run({ cache, firstSlot: 0, tokens: [TOKENS], computed: [0] });
      const spread = Math.max(...(expected.at(-1) ?? [])) - Math.min(...(expected.at(-1) ?? []));
      expectClose(logits, expected.at(-1), spread * 0.03);
    } finally {
      int8.release();
    }
  });
});
