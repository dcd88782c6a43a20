import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fits, planStep } from "../../../gpu-worker/engine/policy.ts";

const LIMITS = { mixedTokens: 64, prefillTokens: 256 };
const running = (...pending: number[]) => pending.map((tokens, arrival) => ({ pending: tokens, arrival, held: false }));

describe("planStep", () => {
  it("lets everybody who can decode do so together", () => {
    expect(planStep(running(1, 1, 1), LIMITS)).toEqual({ decode: [0, 1, 2], prefill: [] });
  });

  it("gives a long prompt only what the decoding streams leave of a small step", () => {
    expect(planStep(running(1, 1, 2000), LIMITS)).toEqual({ decode: [0, 1], prefill: [{ index: 2, tokens: 62 }] });
  });

  it("takes larger pieces of a prompt while nobody decodes", () => {
    expect(planStep(running(2000), LIMITS).prefill).toEqual([{ index: 0, tokens: 256 }]);
  });

  it("serves prompts in order of arrival, whatever slots they sit in", () => {
    const waiting = [
      { pending: 200, arrival: 9, held: false },
      { pending: 100, arrival: 4, held: false },
    ];
    expect(planStep(waiting, LIMITS).prefill).toEqual([
      { index: 1, tokens: 100 },
      { index: 0, tokens: 156 },
    ]);
  });

  it("always makes progress and never exceeds its budget", () => {
    const sequences = fc.array(
      fc.record({ pending: fc.integer({ min: 1, max: 500 }), arrival: fc.nat(), held: fc.boolean() }),
      {
        minLength: 1,
        maxLength: 100,
      },
    );
    fc.assert(
      fc.property(sequences, (list) => {
        const { decode, prefill } = planStep(list, LIMITS);
        const planned = prefill.reduce((total, { tokens }) => total + tokens, 0);
        if (!list.every(({ held }) => held)) expect(decode.length + planned).toBeGreaterThan(0);
        expect([...decode, ...prefill.map(({ index }) => index)].some((index) => list[index]?.held)).toBe(false);
        expect(prefill.every(({ index, tokens }) => tokens > 0 && tokens <= (list[index]?.pending ?? 0))).toBe(true);
        if (decode.length === 0) expect(planned).toBeLessThanOrEqual(LIMITS.prefillTokens);
        else expect(planned).toBeLessThanOrEqual(Math.max(1, LIMITS.mixedTokens - decode.length));
        expect(new Set([...decode, ...prefill.map(({ index }) => index)]).size).toBe(decode.length + prefill.length);
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
