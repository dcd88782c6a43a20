import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { WeightLayout } from "../../gpu-worker/graph/precision.ts";
import { type AdapterBank, type BankRange, freeRange } from "../../gpu-worker/runtime/adapter-bank.ts";
import { DecoderSession } from "../../gpu-worker/runtime/decoder-session.ts";
import { INT8_LAYOUTS } from "../fixtures/int8-layouts.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { mergedByHand, type TinyUpdate, tinyUpdates } from "../fixtures/tiny-adapter.ts";
import { tinyBank, writeTinyUpdates } from "../fixtures/tiny-bank.ts";
import { TINY_CONFIG, tinyDecoder, tinyWeights } from "../fixtures/tiny-llama.ts";

const TOKENS = [5, 100, 42, 7, 250, 99, 3, 180, 64, 11];

/** Ranks that fill a group, do not, and take several; and one that adapts a part of the model. */
const ADAPTERS: Map<string, TinyUpdate>[] = [
  tinyUpdates(11, 5),
  tinyUpdates(12, 16),
  tinyUpdates(13, 37),
  new Map([...tinyUpdates(14, 8)].filter(([module]) => /1\.(self_attn\.v_proj|mlp\.down_proj)$/.test(module))),
];
const SCALE = 2;

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, index) => Math.abs(value - (b[index] ?? Number.NaN))));
const expected = (updates: Map<string, TinyUpdate>) =>
  referenceLogits(TINY_CONFIG, mergedByHand(tinyWeights(), updates, SCALE), TOKENS).at(-1) ?? [];

describe.each(["fp32" as const, ...INT8_LAYOUTS])("a %s decoder with a bank of adapters", (layout: WeightLayout) => {
  let bank: AdapterBank;
  let session: DecoderSession;
  const places: BankRange[] = [];

  beforeAll(async () => {
    bank = tinyBank(40);
    session = new DecoderSession(await tinyDecoder(layout, TINY_CONFIG, { adapterBank: true }), TINY_CONFIG, 1, {
      bank,
    });
    for (const updates of ADAPTERS) {
      const groups = Math.ceil(Math.max(...[...updates.values()].map(({ rank }) => rank)) / 16);
      const place = freeRange(bank.groups, places, groups) ?? expect.fail("The bank is full");
      places.push(await writeTinyUpdates(bank, layout, place.first, updates, SCALE));
    }
    // Far from the others, so that a batch with both reads more than one block.
    places.push(await writeTinyUpdates(bank, layout, 30, tinyUpdates(15, 32), SCALE));
  });
  afterAll(() => session.release());

  /** Logits after the last token, read in the given pieces. */
  function logitsOf(adapter: BankRange | null, pieces: number[][] = [TOKENS]): Float32Array {
    const cache = session.allocate(1, TOKENS.length);
    let computed = 0;
    let logits = new Float32Array();
    for (const tokens of pieces) {
      logits = Float32Array.from(
        session.run({ cache, firstSlot: 0, tokens: [tokens], computed: [computed], adapters: [adapter] }),
      );
      computed += tokens.length;
    }
    session.free(cache);
    return logits;
  }

  it("computes what a plain implementation computes with W + s · B · A, for each of them", () => {
    const plain = expected(new Map());
    const spread = Math.max(...plain) - Math.min(...plain);
    for (const [index, updates] of ADAPTERS.entries()) {
      const wanted = expected(updates);
      expect(largestDifference(wanted, plain)).toBeGreaterThan(spread / 20);
      const tolerance = layout === "fp32" ? 1e-4 : spread * 0.03;
      expect(largestDifference(logitsOf(places[index] ?? null), wanted)).toBeLessThan(tolerance);
    }
  });

  it("computes the model itself to the last bit where no row has one", async () => {
    const without = new DecoderSession(await tinyDecoder(layout), TINY_CONFIG, 1);
    const cache = without.allocate(1, TOKENS.length);
    expect(logitsOf(null)).toEqual(
      Float32Array.from(without.run({ cache, firstSlot: 0, tokens: [TOKENS], computed: [0] })),
    );
    without.release();
  });

  it("computes in turn with one without a bank, and every answer is to the last bit what it would be alone", async () => {
    const plain = await tinyDecoder(layout);
    const banked = await tinyDecoder(layout, TINY_CONFIG, { adapterBank: true });
    const joint = new DecoderSession(banked, TINY_CONFIG, 1, { bank, plain });
    const cache = joint.allocate(2, TOKENS.length + 2);
    const adapters = [places[0] ?? null];
    joint.run({ cache, firstSlot: 0, tokens: [TOKENS.slice(0, 6)], computed: [0] });
    const adapted = joint.run({ cache, firstSlot: 1, tokens: [TOKENS], computed: [0], adapters });
    expect(Float32Array.from(adapted)).toEqual(logitsOf(places[0] ?? null));
    const rest = joint.run({ cache, firstSlot: 0, tokens: [TOKENS.slice(6)], computed: [6] });
    expect(Float32Array.from(rest)).toEqual(logitsOf(null));
    const steps = { cache, firstSlot: 0, tokens: [[1], [1]], computed: [TOKENS.length, TOKENS.length] };
    const together = Float32Array.from(joint.run({ ...steps, adapters: [null, places[0] ?? null] }));
    const alone = joint.run({ ...steps, tokens: [[1]], computed: [TOKENS.length] });
    expect(Float32Array.from(alone)).toEqual(together.subarray(0, TINY_CONFIG.vocab));
    joint.release();
  });

  it("gives a prompt the same logits to the last bit in whatever pieces it is read", () => {
    for (const place of places) {
      expect(logitsOf(place, [TOKENS.slice(0, 3), TOKENS.slice(3, 8), TOKENS.slice(8)])).toEqual(logitsOf(place));
    }
  });

  // Alone, onnxruntime multiplies a float32 row by the weights in another order than in company, with adapters or without.
  const tolerance = layout === "fp32" ? 1e-5 : 0;

  it("gives each row of a mixed batch what it gets alone, with int8 weights to the last bit", () => {
    const rows = [null, ...places, null, ...places.toReversed()];
    const cache = session.allocate(rows.length, TOKENS.length + 1);
    for (const [slot, adapter] of rows.entries()) {
      session.run({ cache, firstSlot: slot, tokens: [TOKENS.slice(0, 9)], computed: [0], adapters: [adapter] });
    }
    const tokens = rows.map((_, row) => [TOKENS[row % 10] ?? 0]);
    const computed = rows.map(() => 9);
    const together = Float32Array.from(session.run({ cache, firstSlot: 0, tokens, computed, adapters: rows }));
    for (const [slot, adapter] of rows.entries()) {
      const batch = { cache, firstSlot: slot, tokens: [tokens[slot] ?? []], computed: [9], adapters: [adapter] };
      const { vocab } = TINY_CONFIG;
      const alone = session.run(batch);
      const inCompany = together.subarray(slot * vocab, (slot + 1) * vocab);
      expect(largestDifference(alone, inCompany)).toBeLessThanOrEqual(tolerance);
    }
    session.free(cache);
  });
});

describe("a place in the bank", () => {
  it("is the first that is free, and never across the end of a block where it fits into one", () => {
    const taken = [
      { first: 0, groups: 2 },
      { first: 4, groups: 3 },
    ];
    expect(freeRange(24, taken, 2)).toEqual({ first: 2, groups: 2 });
    expect(freeRange(24, taken, 3)).toEqual({ first: 8, groups: 3 });
    expect(freeRange(24, taken, 10)).toEqual({ first: 8, groups: 10 });
    expect(freeRange(24, taken, 17)).toBeNull();
    expect(freeRange(7, taken, 1)).toEqual({ first: 2, groups: 1 });
  });
});
