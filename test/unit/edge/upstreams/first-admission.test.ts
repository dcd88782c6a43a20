import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { firstAdmission, HEDGE_MS } from "../../../../edge/upstreams/first-admission.ts";
import type { Outcome } from "../../../../edge/upstreams/outcome.ts";
import { AttuneError } from "../../../../schema/wire/errors.ts";

const BUSY: Outcome = {
  kind: "refused",
  refusal: { status: 429, body: new AttuneError("queue_full", "").toBody(), retryAfter: null },
  headers: new Headers(),
  elsewhere: true,
};
const WRONG: Outcome = { ...BUSY, elsewhere: false };
const FAILED: Outcome = { kind: "failed", cause: "refused", elsewhere: true };
const BROKEN: Outcome = { kind: "failed", cause: "broke off", elsewhere: false };
const admitted = (): Outcome => ({ kind: "admitted", response: new Response() });

/** What each worker will say, and after how many milliseconds. */
type Script = { after: number; says: Outcome }[];

function run(script: Script, options: { mayHedge?: (() => boolean) | null; signal?: AbortSignal } = {}) {
  const asked: number[] = [];
  const left: number[] = [];
  let next = 0;
  const settled = firstAdmission<number>({
    next: () => (next < script.length ? next++ : null),
    ask: (worker, signal) => {
      asked.push(worker);
      const { promise, resolve } = Promise.withResolvers<Outcome>();
      const { after = 0, says = FAILED } = script[worker] ?? {};
      const timer = setTimeout(() => resolve(says), after);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        left.push(worker);
        resolve({ kind: "abandoned" });
      });
      return promise;
    },
    mayHedge: options.mayHedge === undefined ? () => true : options.mayHedge,
    signal: options.signal ?? new AbortController().signal,
  });
  return { settled, asked, left };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("the first admission", () => {
  it.each<[string, Outcome[], number]>([
    ["is of the first worker that admits", [BUSY, FAILED, admitted()], 2],
    ["is not sought elsewhere where the request itself is wrong", [WRONG, admitted()], 0],
    ["is not sought elsewhere where a worker may have worked at it", [BROKEN, admitted()], 0],
    ["is given up when a second worker breaks at it", [FAILED, FAILED, admitted()], 1],
    ["is the last refusal where all refuse", [BUSY, BUSY], 1],
  ])("%s", async (_, says, worker) => {
    const { settled, asked } = run(says.map((one) => ({ after: 10, says: one })));
    await vi.runAllTimersAsync();
    expect(await settled).toEqual({ worker, outcome: says[worker] });
    expect(asked).toEqual(Array.from({ length: worker + 1 }, (_, index) => index));
  });

  it("is none where there is no worker", async () => {
    expect(await run([]).settled).toBeNull();
  });

  it("is of a second worker where the first says nothing for a while, which is told that nobody waits", async () => {
    const { settled, asked, left } = run([
      { after: 10 * HEDGE_MS, says: admitted() },
      { after: 10, says: admitted() },
    ]);
    await vi.advanceTimersByTimeAsync(HEDGE_MS - 1);
    expect(asked).toEqual([0]);
    await vi.advanceTimersByTimeAsync(11);
    expect((await settled)?.worker).toBe(1);
    expect(left).toEqual([0]);
  });

  it("may still be of the first, when that is earlier after all", async () => {
    const { settled, left } = run([
      { after: HEDGE_MS + 5, says: admitted() },
      { after: 10, says: admitted() },
    ]);
    await vi.advanceTimersByTimeAsync(HEDGE_MS + 5);
    expect((await settled)?.worker).toBe(0);
    expect(left).toEqual([1]);
  });

  it.each([
    ["now", () => false],
    ["ever", null],
  ])("waits for the first alone where no second may be asked %s", async (_, mayHedge) => {
    const { settled, asked } = run(
      [
        { after: 10 * HEDGE_MS, says: admitted() },
        { after: 10, says: admitted() },
      ],
      { mayHedge },
    );
    await vi.runAllTimersAsync();
    expect((await settled)?.worker).toBe(0);
    expect(asked).toEqual([0]);
  });

  it("is nobody's when the caller leaves", async () => {
    const caller = new AbortController();
    const { settled, left } = run([{ after: 1_000, says: admitted() }], { signal: caller.signal });
    caller.abort();
    expect((await settled)?.outcome.kind).toBe("abandoned");
    expect(left).toEqual([0]);
  });

  it("whatever the workers say and when, leaves at most one of them running", async () => {
    const says = fc.constantFrom(BUSY, WRONG, FAILED, BROKEN, admitted());
    const script = fc.array(fc.record({ after: fc.integer({ min: 0, max: 3 * HEDGE_MS }), says }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(script, async (workers) => {
        const { settled, asked, left } = run(workers);
        await vi.runAllTimersAsync();
        const counted = await settled;
        const others = asked.filter((worker) => worker !== counted?.worker && !left.includes(worker));
        for (const worker of others) expect(workers[worker]?.says.kind).not.toBe("admitted");
        expect(new Set(asked).size).toBe(asked.length);
      }),
    );
  });
});
