import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addAmount, sumOf, unexpired, untilEmpty, untilFits, type Window } from "../../../../edge/limits/window.ts";

const NOW = 1_700_000_000_000;

/** A window of these amounts: milliseconds from NOW until each stops counting, and its tokens. */
const windowOf = (...list: [until: number, tokens: number][]): Window =>
  list.reduce((window: Window, [until, tokens]) => addAmount(window, NOW + until, { requests: 1, tokens }), []);

const amounts = fc.array(fc.tuple(fc.integer({ min: 1, max: 70_000 }), fc.nat(60)), { maxLength: 40 });

describe("a rolling window", () => {
  it("counts everything until its time and at most a second longer, in whatever order it came", () => {
    fc.assert(
      fc.property(amounts, fc.nat(75_000), (list, later) => {
        const counted = sumOf(unexpired(windowOf(...list), NOW + later), "tokens");
        const sum = (after: number) =>
          list.filter(([until]) => until > after).reduce((total, [, tokens]) => total + tokens, 0);
        expect(counted).toBeGreaterThanOrEqual(sum(later));
        expect(counted).toBeLessThanOrEqual(sum(later - 1_000));
      }),
    );
  });

  it("is as short as its seconds, however much is counted", () => {
    const window = windowOf(...Array.from({ length: 5_000 }, (_, index): [number, number] => [index * 12, 1]));
    expect(window.length).toBeLessThanOrEqual(61);
    expect(sumOf(window, "requests")).toBe(5_000);
  });

  it("has room after exactly the wait it names, and not a millisecond earlier", () => {
    fc.assert(
      fc.property(amounts, fc.integer({ min: 1, max: 120 }), (list, amount) => {
        const window = windowOf(...list);
        const waitAt = (now: number) => untilFits(unexpired(window, now), "tokens", { limit: 100, amount, now });
        const wait = waitAt(NOW);
        if (amount > 100) expect(wait).toBeNull();
        else if (wait !== 0) {
          expect(waitAt(NOW + (wait ?? 0))).toBe(0);
          expect(waitAt(NOW + (wait ?? 0) - 1)).toBe(1);
        }
      }),
    );
  });

  it("is full at the limit exactly", () => {
    const window = windowOf([60_000, 60]);
    expect(untilFits(window, "tokens", { limit: 100, amount: 40, now: NOW })).toBe(0);
    expect(untilFits(window, "tokens", { limit: 100, amount: 41, now: NOW })).toBe(60_000);
  });

  it("never has room for more than the limit, and always for nothing", () => {
    expect(untilFits([], "tokens", { limit: 100, amount: 101, now: NOW })).toBeNull();
    expect(untilFits([], "requests", { limit: 0, amount: 1, now: NOW })).toBeNull();
    expect(untilFits(windowOf([5_000, 300]), "tokens", { limit: 100, amount: 0, now: NOW })).toBe(0);
  });

  it("waits for as many old amounts as are needed", () => {
    const window = windowOf([10_000, 40], [20_000, 40]);
    expect(untilFits(window, "tokens", { limit: 100, amount: 50, now: NOW })).toBe(10_000);
    expect(untilFits(window, "tokens", { limit: 100, amount: 90, now: NOW })).toBe(20_000);
  });

  it("says when all of it is back", () => {
    const window = windowOf([10_000, 40], [20_000, 0]);
    expect([untilEmpty(window, "tokens", NOW), untilEmpty(window, "requests", NOW)]).toEqual([10_000, 20_000]);
    expect(untilEmpty([], "requests", NOW)).toBe(0);
  });
});
