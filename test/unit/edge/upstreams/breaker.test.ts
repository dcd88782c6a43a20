import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Breaker,
  CLOSED,
  FAILURES_TO_OPEN,
  FIRST_OPEN_MS,
  LONGEST_OPEN_MS,
  lets,
  onAbandoned,
  onFailure,
  onSent,
  onSuccess,
  PROBE_MS,
} from "../../../../edge/upstreams/breaker.ts";

const failedTimes = (times: number, now: number) =>
  Array.from({ length: times }).reduce<Breaker>((breaker) => onFailure(breaker, now), CLOSED);

describe("a worker's circuit breaker", () => {
  it("opens after so many failures in a row, and not after fewer", () => {
    expect(lets(failedTimes(FAILURES_TO_OPEN - 1, 0), 0)).toBe(true);
    expect(lets(failedTimes(FAILURES_TO_OPEN, 0), FIRST_OPEN_MS - 1)).toBe(false);
  });

  it("lets one request through when its time is over, and the others when that one went well", () => {
    const open = failedTimes(FAILURES_TO_OPEN, 0);
    expect(lets(open, FIRST_OPEN_MS)).toBe(true);
    const probing = onSent(open, FIRST_OPEN_MS);
    expect(lets(probing, FIRST_OPEN_MS)).toBe(false);
    expect(lets(onSuccess(), FIRST_OPEN_MS)).toBe(true);
  });

  it("waits twice as long where the probe fails too", () => {
    const again = onFailure(onSent(failedTimes(FAILURES_TO_OPEN, 0), FIRST_OPEN_MS), FIRST_OPEN_MS);
    expect(lets(again, 3 * FIRST_OPEN_MS - 1)).toBe(false);
    expect(lets(again, 3 * FIRST_OPEN_MS)).toBe(true);
  });

  it("probes again at once where the caller of the probe left, and after a while where nothing was heard of it", () => {
    const probing = onSent(failedTimes(FAILURES_TO_OPEN, 0), FIRST_OPEN_MS);
    expect(lets(onAbandoned(probing, FIRST_OPEN_MS), FIRST_OPEN_MS)).toBe(true);
    expect(lets(probing, FIRST_OPEN_MS + PROBE_MS)).toBe(true);
  });

  const event = fc.record({
    kind: fc.constantFrom("sent" as const, "success" as const, "failure" as const, "abandoned" as const),
    after: fc.integer({ min: 0, max: 2 * LONGEST_OPEN_MS }),
  });
  const next = (breaker: Breaker, kind: "sent" | "success" | "failure" | "abandoned", now: number) => {
    if (kind === "sent") return lets(breaker, now) ? onSent(breaker, now) : breaker;
    if (kind === "success") return onSuccess();
    return kind === "failure" ? onFailure(breaker, now) : onAbandoned(breaker, now);
  };

  it("whatever happens, is never shut out for longer than its longest time, and never by fewer failures in a row", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let breaker = CLOSED;
        let now = 0;
        let failures = 0;
        for (const { kind, after } of events) {
          now += after;
          breaker = next(breaker, kind, now);
          failures = kind === "success" ? 0 : failures + (kind === "failure" ? 1 : 0);
          expect(lets(breaker, now + LONGEST_OPEN_MS)).toBe(true);
          if (failures < FAILURES_TO_OPEN) expect(breaker.state).toBe("closed");
        }
      }),
    );
  });

  it("lets at most one probe through at a time", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: PROBE_MS }), { maxLength: 40 }), (pauses) => {
        let breaker = failedTimes(FAILURES_TO_OPEN, 0);
        let now = 0;
        const sent: number[] = [];
        for (const pause of pauses) {
          now += pause;
          if (!lets(breaker, now)) continue;
          breaker = onSent(breaker, now);
          sent.push(now);
        }
        for (const [index, time] of sent.entries()) {
          expect(time - (sent[index - 1] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(PROBE_MS);
        }
      }),
    );
  });

  it("is not kept open by a clock that was set back", () => {
    const day = 86_400_000;
    expect(lets(failedTimes(FAILURES_TO_OPEN, day), 0)).toBe(true);
  });
});
