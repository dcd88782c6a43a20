import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fits, planStep } from "../../../gpu-worker/engine/policy.ts";

const LIMITS = { mixedTokens: 64, prefillTokens: 256 };
const running = (...pending: number[]) => pending.map((tokens, arrival) => ({ pending: tokens, arrival, held: false }));

describe("planStep", () => {
  it("lets everybody who can decode do so together", () => {
    expect(planStep(running(1, 1, 1), LIMITS)).toEqual({ decode: [0, 1, 2], prefill: [] });
  });

  it("reads one piece of a long prompt while streams are decoding", () => {
    expect(planStep(running(1, 1, 2000, 2000), LIMITS)).toEqual({
      decode: [0, 1],
      prefill: [{ index: 2, tokens: 62 }],
    });
  });

  it("reads several prompts while nobody decodes, as far as the budget goes", () => {
    expect(planStep(running(100, 30, 2000, 2000), LIMITS).prefill).toEqual([
      { index: 0, tokens: 100 },
      { index: 1, tokens: 30 },
      { index: 2, tokens: 126 },
    ]);
  });

  it("never reads a prompt in a piece of one token, which would be computed differently", () => {
    for (let pending = 2; pending < 200; pending++) {
      for (const decoding of [0, 1, 20, 63, 70]) {
        const [piece] = planStep(running(pending, ...Array(decoding).fill(1)), LIMITS).prefill;
        expect(piece?.tokens).toBeGreaterThan(1);
        expect(pending - (piece?.tokens ?? 0)).not.toBe(1);
      }
    }
  });

  it("serves prompts in order of arrival, whatever slots they sit in", () => {
    const waiting = [9, 4].map((arrival) => ({ pending: 200, arrival, held: false }));
    expect(planStep(waiting, LIMITS).prefill.map(({ index }) => index)).toEqual([1, 0]);
  });

  it("always makes progress and never exceeds its budget", () => {
    const sequence = fc.record({
      pending: fc.integer({ min: 1, max: 500 }),
      arrival: fc.nat(),
      held: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(sequence, { minLength: 1, maxLength: 100 }), (list) => {
        const { decode, prefill } = planStep(list, LIMITS);
        const chosen = [...decode, ...prefill.map(({ index }) => index)];
        expect(new Set(chosen).size).toBe(chosen.length);
        expect(chosen.some((index) => list[index]?.held)).toBe(false);
        if (!list.every(({ held }) => held)) expect(chosen.length).toBeGreaterThan(0);
        expect(prefill.every(({ index, tokens }) => tokens > 0 && tokens <= (list[index]?.pending ?? 0))).toBe(true);
        const planned = decode.length + prefill.reduce((total, { tokens }) => total + tokens, 0);
        const budget = decode.length > 0 ? LIMITS.mixedTokens : LIMITS.prefillTokens;
        expect(planned).toBeLessThanOrEqual(Math.max(budget + 1, decode.length + 3));
      }),
    );
  });
});

describe("fits", () => {
  const bytes = (slots: number, tokens: number) => slots * tokens;

  it("admits no more sequences than rows", () => {
    expect(fits([10, 10], { rows: 2, kvBytes: 1000 }, bytes)).toBe(true);
    expect(fits([10, 10, 10], { rows: 2, kvBytes: 1000 }, bytes)).toBe(false);
  });

  it("counts every slot at the length of the longest", () => {
    expect(fits([10, 500], { rows: 8, kvBytes: 1000 }, bytes)).toBe(true);
    expect(fits([10, 501], { rows: 8, kvBytes: 1000 }, bytes)).toBe(false);
  });
});
