import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FAILURES_TO_OPEN, FIRST_OPEN_MS } from "../../../../edge/upstreams/breaker.ts";
import type { Outcome } from "../../../../edge/upstreams/outcome.ts";
import { WorkerState } from "../../../../edge/upstreams/worker-state.ts";
import type { ServedModel } from "../../../../schema/api/models.ts";
import { AttuneError, type ErrorCode } from "../../../../schema/wire/errors.ts";

const ENTRY = { origin: "https://gpu-1.example", weight: 1, region: null, models: null };
const worker = (alone = false) => new WorkerState(ENTRY, alone);
const standing = (state: WorkerState, now: number, model = "m") => state.candidate(model, now).standing;

const FAILED: Outcome = { kind: "failed", cause: "refused", elsewhere: true };

function refused(code: ErrorCode, status: 404 | 429 | 503): Outcome {
  const refusal = { status, body: new AttuneError(code, "").toBody(), retryAfter: null };
  return { kind: "refused", refusal, headers: new Headers(), elsewhere: true };
}

const model = (id: string): ServedModel => ({
  id,
  created: 0,
  context_length: 1,
  profile: null,
  calibration: null,
  sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0 },
});

describe("what an isolate knows of a worker", () => {
  it("is nothing at first, and then it may be asked", () => {
    expect(standing(worker(), 0)).toBe("free");
  });

  it("leaves it alone after failures in a row, for a while", () => {
    const state = worker();
    for (let failure = 0; failure < FAILURES_TO_OPEN; failure++) state.note(FAILED, 0);
    expect(standing(state, FIRST_OPEN_MS - 1)).toBe("out");
    expect(standing(state, FIRST_OPEN_MS)).toBe("free");
  });

  it("goes by what it said of its readiness, unless that is long ago", () => {
    const state = worker();
    state.noteReadiness(false, null, 0);
    expect(standing(state, 4_999)).toBe("out");
    expect(standing(state, 5_000)).toBe("free");
    state.noteReadiness(false, null, 10_000);
    state.noteReadiness(true, null, 10_001);
    expect(standing(state, 10_001)).toBe("free");
  });

  it("asks about its readiness every other second of use, and at once when it refused", () => {
    const state = worker();
    expect([0, 1, 1_999, 2_000].map((now) => state.askReadiness(now))).toEqual([true, false, false, true]);
    state.note(refused("worker_unavailable", 503), 2_001);
    expect(standing(state, 2_001)).toBe("out");
    expect(state.askReadiness(2_001)).toBe(true);
  });

  it("passes it over for a moment when its queue was full", () => {
    const state = worker();
    state.note(refused("queue_full", 429), 0);
    expect([999, 1_000].map((now) => standing(state, now))).toEqual(["full", "free"]);
  });

  it("does not ask it for a model that it has not, and finds out when what it serves has changed", () => {
    const state = worker();
    state.noteModels([model("m")], 0);
    expect([standing(state, 0), standing(state, 0, "other")]).toEqual(["free", "out"]);
    expect([state.askModels(29_999), state.askModels(30_000)]).toEqual([false, true]);
    state.note(refused("model_not_found", 404), 1);
    expect(state.askModels(1)).toBe(true);
  });

  it("keeps the models of one that is away, where there are others, and not of the only one", () => {
    for (const [alone, known] of [
      [false, ["m"]],
      [true, undefined],
    ] as const) {
      const state = worker(alone);
      state.noteModels([model("m")], 0);
      state.noteModels(null, 40_000);
      expect(state.models(40_000)?.map(({ id }) => id)).toEqual(known);
    }
  });

  it("does not count for longer because the clock was set back", () => {
    const state = worker();
    const hour = 3_600_000;
    state.note(refused("queue_full", 429), hour);
    state.note(refused("worker_unavailable", 503), hour);
    expect(state.askReadiness(hour)).toBe(true);
    expect(standing(state, 0)).toBe("free");
    expect(state.askReadiness(0)).toBe(true);
  });

  it("asks the only one whatever it said before: it knows best", () => {
    const state = worker(true);
    state.note(refused("worker_unavailable", 503), 0);
    expect(standing(state, 0)).toBe("free");
    expect(state.askReadiness(0)).toBe(false);
  });
});

describe("a worker's load", () => {
  it("is its own report, kept up with what was sent and ended since", () => {
    const state = worker();
    state.begin("a", 100, 0);
    state.noteReadiness(true, 1_000, 1);
    state.begin("b", 50, 2);
    expect(state.load(2)).toBe(1_050);
    state.end("a");
    expect(state.load(3)).toBe(950);
    // The report is too old.
    expect(state.load(6_000)).toBe(50);
  });

  it("of this isolate is what was begun and not ended, in whatever order, and never negative", () => {
    const id = fc.integer({ min: 0, max: 5 }).map(String);
    const event = fc.oneof(
      fc.record({ kind: fc.constant("begin" as const), id, tokens: fc.nat(1000) }),
      fc.record({ kind: fc.constant("end" as const), id }),
      fc.record({ kind: fc.constant("report" as const), tokens: fc.nat(1000) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 50 }), (events) => {
        const state = worker();
        const running = new Map<string, number>();
        for (const [now, one] of events.entries()) {
          if (one.kind === "report") state.noteReadiness(true, one.tokens, now);
          else if (one.kind === "end") {
            state.end(one.id);
            running.delete(one.id);
          } else if (!running.has(one.id)) {
            state.begin(one.id, one.tokens, now);
            running.set(one.id, one.tokens);
          }
          const own = [...running.values()].reduce((sum, tokens) => sum + tokens, 0);
          expect(state.load(now)).toBeGreaterThanOrEqual(own);
          expect(state.load(now + 1_000_000)).toBe(own);
        }
      }),
    );
  });

  it("forgets what was never ended", () => {
    const state = worker();
    state.begin("lost", 100, 0);
    state.begin("new", 10, 900_000);
    expect(state.load(900_000)).toBe(10);
  });
});
