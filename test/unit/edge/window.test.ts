import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, type Entry, type Limits, settle, unexpired, WINDOW_MS } from "../../../edge/limits/window.ts";

const LIMITS: Limits = { requests: 3, tokens: 100 };
const START = 1_700_000_000_000;

const entries = (...list: [at: number, tokens: number][]): Entry[] =>
  list.map(([at, tokens], id) => ({ id, at: START + at, tokens }));

/** A request: time since the one before, its reservation, what it will have used, and after how many more requests it settles. */
const request = fc.record({
  gap: fc.oneof(fc.nat(3_000), fc.nat(70_000), fc.constant(WINDOW_MS), fc.constant(-5_000)),
  tokens: fc.nat(12),
  usedShare: fc.double({ min: 0, max: 1, noNaN: true }),
  settlesAfter: fc.nat(4),
});

/** Plays the requests against the window as the Durable Object does; returns everything admitted, as settled. */
function play(requests: (typeof request extends fc.Arbitrary<infer R> ? R : never)[], limits: Limits): Entry[] {
  let clock = START;
  let window: readonly Entry[] = [];
  const admitted: Entry[] = [];
  const unsettled: { id: number; used: number; due: number }[] = [];
  requests.forEach(({ gap, tokens, usedShare, settlesAfter }, id) => {
    clock += gap;
    for (const { id: settledId, used } of unsettled.filter(({ due }) => due === id)) {
      window = settle(window, settledId, used);
      const entry = admitted.find((candidate) => candidate.id === settledId);
      if (entry !== undefined) entry.tokens = used;
    }
    const decision = decide(window, limits, tokens, clock);
    if (!decision.allowed) return;
    admitted.push({ id, at: decision.at, tokens });
    window = [...unexpired(window, decision.at), { id, at: decision.at, tokens }];
    unsettled.push({ id, used: Math.floor(tokens * usedShare), due: id + 1 + settlesAfter });
  });
  return admitted;
}

describe("a rolling window", () => {
  it("never admits more requests or tokens in any 60 s than the limits, however requests come and settle", () => {
    const limits = fc.record({ requests: fc.integer({ min: 0, max: 6 }), tokens: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), limits, (requests, limit) => {
        const admitted = play(requests, limit);
        for (const { at: start } of admitted) {
          const inside = admitted.filter(({ at }) => at >= start && at < start + WINDOW_MS);
          expect(inside.length).toBeLessThanOrEqual(limit.requests);
          expect(inside.reduce((sum, entry) => sum + entry.tokens, 0)).toBeLessThanOrEqual(limit.tokens);
        }
      }),
    );
  });

  it("admits after exactly the wait it names, and not a millisecond earlier", () => {
    const window = fc
      .array(fc.tuple(fc.nat(WINDOW_MS - 1), fc.nat(60)), { maxLength: 8 })
      .map((list) => entries(...list.sort(([a], [b]) => a - b)));
    fc.assert(
      fc.property(window, fc.nat(100), (before, tokens) => {
        const now = START + WINDOW_MS - 1;
        const decision = decide(before, LIMITS, tokens, now);
        if (decision.allowed || decision.reason === "too_large") return;
        expect(decide(before, LIMITS, tokens, now + decision.retryAfterMs).allowed).toBe(true);
        expect(decide(before, LIMITS, tokens, now + decision.retryAfterMs - 1).allowed).toBe(false);
      }),
    );
  });

  it("is full at the limit exactly", () => {
    const window = entries([0, 60]);
    expect(decide(window, LIMITS, 40, START + 1)).toMatchObject({ allowed: true });
    expect(decide(window, LIMITS, 41, START + 1)).toMatchObject({ allowed: false, reason: "tokens" });
  });

  it("stays in order when the clock is set back", () => {
    const newest = START + 5_000;
    expect(decide(entries([5_000, 1]), LIMITS, 1, START)).toMatchObject({ allowed: true, at: newest });
  });

  it("counts a request for 60 s, and no longer", () => {
    const full = entries([0, 1], [1, 1], [2, 1]);
    expect(decide(full, LIMITS, 1, START + WINDOW_MS - 1)).toMatchObject({
      allowed: false,
      reason: "requests",
      retryAfterMs: 1,
    });
    expect(decide(full, LIMITS, 1, START + WINDOW_MS)).toMatchObject({ allowed: true });
  });

  it("waits for as many old requests as the tokens need", () => {
    const window = entries([0, 40], [10_000, 40]);
    expect(decide(window, LIMITS, 50, START + 20_000)).toMatchObject({ reason: "tokens", retryAfterMs: 40_000 });
    expect(decide(window, LIMITS, 90, START + 20_000)).toMatchObject({ reason: "tokens", retryAfterMs: 50_000 });
  });

  it("says at once that a request larger than the limit can never enter", () => {
    expect(decide([], LIMITS, 101, START)).toMatchObject({ allowed: false, reason: "too_large" });
  });

  it("gives back what settling shows was not used", () => {
    const window = settle(entries([0, 100]), 0, 30);
    const decision = decide(window, LIMITS, 70, START + 1);
    expect(decision).toMatchObject({ allowed: true, meters: { tokens: { remaining: 0 }, requests: { remaining: 1 } } });
  });

  it("lets later requests pay where more was used than reserved", () => {
    const window = settle(entries([0, 50]), 0, 130);
    const decision = decide(window, LIMITS, 1, START + 1);
    expect(decision).toMatchObject({ allowed: false, reason: "tokens", meters: { tokens: { remaining: 0 } } });
  });

  it("reports when all of each limit is back", () => {
    const decision = decide(entries([0, 10], [5_000, 0]), LIMITS, 0, START + 6_000);
    expect(decision.meters).toEqual({
      requests: { limit: 3, remaining: 0, resetMs: WINDOW_MS },
      tokens: { limit: 100, remaining: 90, resetMs: 54_000 },
    });
  });
});
