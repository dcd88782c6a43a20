import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rowSequence, type SequenceOptions } from "../../../../gpu-worker/steerlm/apm/row-sequence.ts";
import { StepBatches } from "../../../../gpu-worker/steerlm/apm/step-batches.ts";
import { seededDraws } from "../../../../gpu-worker/steerlm/training/seeded-draws.ts";

const row = (source: string, toxicity: number) => ({ source, labels: { toxicity } });
const some = (count: number, source: string, toxicity = 0) =>
  Array.from({ length: count }, () => row(source, toxicity));

const sequence = (rows: ReturnType<typeof some>, options: Partial<SequenceOptions> = {}) =>
  rowSequence(rows, { attributes: ["toxicity"], balance: false, random: seededDraws("a"), ...options });

function first(count: number, rows: ReturnType<typeof some>, options: Partial<SequenceOptions> = {}): number[] {
  const drawn = sequence(rows, options);
  return Array.from({ length: count }, () => drawn.next().value);
}

const share = (drawn: number[], isIt: (index: number) => boolean) => drawn.filter(isIt).length / drawn.length;

describe("rows are drawn", () => {
  test("each once before one comes again", () => {
    const drawn = first(60, some(30, "oasst"));
    expect(new Set(drawn.slice(0, 30)).size).toBe(30);
    expect(new Set(drawn.slice(30)).size).toBe(30);
    expect(drawn.slice(30)).not.toEqual(drawn.slice(0, 30));
  });

  test("from each source in proportion to its weight, however many rows it has", () => {
    const rows = [...some(50, "oasst"), ...some(5000, "davidson")];
    const drawn = first(4000, rows, { sourceWeights: new Map([["davidson", 0.25]]) });
    expect(share(drawn, (index) => index >= 50)).toBeCloseTo(0.2, 1);
  });

  test("from all alike without weights", () => {
    const rows = [...some(30, "a"), ...some(10, "b")];
    const drawn = first(40, rows);
    expect(share(drawn, (index) => index >= 30)).toBeCloseTo(0.25, 0);
  });

  test("never from a source whose weight is 0", () => {
    const drawn = first(100, [...some(5, "a"), ...some(5, "b")], { sourceWeights: new Map([["b", 0]]) });
    expect(Math.max(...drawn)).toBeLessThan(5);
  });

  test("with balance, levels in proportion to the root of their rows", () => {
    const rows = [...some(900, "oasst", 0), ...some(100, "oasst", 4)];
    const drawn = first(4000, rows, { balance: true });
    expect(share(drawn, (index) => index >= 900)).toBeCloseTo(0.25, 1);
  });

  test("in the same order for the same seed alone", () => {
    const rows = [...some(20, "a", 1), ...some(20, "b", 3)];
    expect(first(50, rows, { balance: true })).toEqual(first(50, rows, { balance: true }));
    expect(first(50, rows)).not.toEqual(first(50, rows, { random: seededDraws("b") }));
  });
});

describe("a step's rows", () => {
  const lengths = Array.from({ length: 40 }, (_, index) => 10 + ((index * 7) % 50));
  const batches = () =>
    new StepBatches(sequence(some(40, "a")), (index) => lengths[index] ?? 0, { step: 200, micro: 80 });

  test("do not depend on which step is asked for first", () => {
    const forward = batches();
    const steps = Array.from({ length: 6 }, (_, step) => forward.at(step));
    const resumed = batches();
    expect(resumed.at(5)).toEqual(steps[5]);
    expect(resumed.at(2)).toEqual(steps[2]);
  });

  test("together are the sequence, with none left out for its length", () => {
    const all = batches();
    const drawn = Array.from({ length: 12 }, (_, step) =>
      all
        .at(step)
        .flat()
        .sort((a, b) => a - b),
    );
    const order = first(drawn.flat().length, some(40, "a"));
    let start = 0;
    for (const rows of drawn) {
      expect(rows).toEqual(order.slice(start, start + rows.length).sort((a, b) => a - b));
      start += rows.length;
    }
  });

  test("fit the step and what is computed at once, but that one row is always taken", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), (step, micro) => {
        const own = new StepBatches(sequence(some(40, "a")), (index) => lengths[index] ?? 0, { step, micro });
        for (const rows of own.at(0)) {
          const padded = rows.length * Math.max(...rows.map((index) => lengths[index] ?? 0));
          expect(padded <= micro || rows.length === 1).toBe(true);
        }
        const all = own.at(0).flat();
        const tokens = all.reduce((sum, index) => sum + (lengths[index] ?? 0), 0);
        expect(tokens <= step || all.length === 1).toBe(true);
      }),
    );
  });
});
