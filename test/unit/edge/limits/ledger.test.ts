import { beforeEach, describe, expect, it } from "vitest";
import { Ledger } from "../../../../edge/limits/ledger.ts";
import type { Meter, Subject } from "../../../../edge/limits/subject.ts";
import { MemoryStore } from "./memory-store.ts";
import { endUserSubject, keySubject, meterOf, projectSubject } from "./subjects.ts";

/** The 17th of November 2026. */
const START = Date.UTC(2026, 10, 17);
const NEXT_MONTH = Date.UTC(2026, 11, 1);

let store: MemoryStore;
let ledger: Ledger;
let ids: number;

beforeEach(() => {
  store = new MemoryStore();
  ledger = new Ledger(store, START);
  ids = 0;
});

/** Asks for one request, and returns what was said with the id it was asked under. */
function reserve(subjects: Subject[], tokens: number, now = START) {
  ids += 1;
  const id = `request ${ids}`;
  return { id, ...ledger.reserve({ id, subjects, tokens }, now) };
}

const settle = (id: string, tokens: number | null, now = START) =>
  ledger.settle({ id, requests: 1, tokens, ended: true }, now);

const usedOf = (meters: Meter[], subject: Meter["subject"], name: Meter["name"]) => meterOf(meters, subject, name).used;

describe("a decision about several subjects", () => {
  const subjects = [
    keySubject({ requests_per_minute: 10 }),
    projectSubject({ tokens_per_minute: 100 }),
    endUserSubject({ requests_per_minute: 2 }),
  ];

  it("charges all of them or none", () => {
    expect(reserve(subjects, 60)).toMatchObject({ allowed: true });
    const refused = reserve(subjects, 60);
    expect(refused).toMatchObject({
      allowed: false,
      refusal: { subject: "project", name: "tokens_per_minute", waitMs: 60_000 },
    });
    expect(usedOf(refused.meters, "key", "requests_per_minute")).toBe(1);
    expect(usedOf(refused.meters, "end_user", "requests_per_minute")).toBe(1);
    expect(usedOf(refused.meters, "end_user", "tokens_per_minute")).toBe(60);
  });

  it("names the limit that passes last, so that who waits for it is not refused for another", () => {
    reserve(subjects, 50);
    reserve(subjects, 0, START + 30_000);
    expect(reserve(subjects, 60, START + 40_000)).toMatchObject({
      refusal: { subject: "project", name: "tokens_per_minute", waitMs: 20_000 },
    });
    reserve(subjects, 0, START + 60_000);
    expect(reserve(subjects, 60, START + 65_000)).toMatchObject({
      refusal: { subject: "end_user", name: "requests_per_minute", waitMs: 25_000 },
    });
  });

  it("keeps one key's counters and one end user's apart from the others', and adds up the project's", () => {
    const limits = { requests_per_minute: 1 };
    const project = projectSubject({ requests_per_minute: 3 });
    for (const name of ["a", "b", "c"]) expect(reserve([project, endUserSubject(limits, name)], 0).allowed).toBe(true);
    expect(reserve([project, endUserSubject(limits, "d")], 0)).toMatchObject({ refusal: { subject: "project" } });
  });

  it("says at once what can never be", () => {
    const never = { allowed: false, refusal: { waitMs: null } };
    expect(reserve([keySubject({ tokens_per_minute: 100 })], 101)).toMatchObject(never);
    expect(reserve([keySubject({ tokens_per_minute: 0 })], 1)).toMatchObject(never);
    expect(reserve([keySubject({ concurrent_generations: 0 })], 1)).toMatchObject(never);
    expect(reserve([keySubject({ tokens_per_month: 100 })], 101)).toMatchObject(never);
    expect(
      reserve([keySubject({ tokens_per_minute: 0, concurrent_generations: 0, tokens_per_month: 0 })], 0),
    ).toMatchObject({ allowed: true });
  });

  it("goes by the limits that each request comes with, also where they changed", () => {
    for (let count = 0; count < 5; count++) reserve([keySubject({ requests_per_minute: 10 })], 10);
    const lowered = reserve([keySubject({ requests_per_minute: 3 })], 0);
    expect(lowered).toMatchObject({ allowed: false });
    expect(meterOf(lowered.meters, "key", "requests_per_minute")).toMatchObject({ limit: 3, used: 5, remaining: 0 });
    expect(reserve([keySubject({ requests_per_minute: null, tokens_per_minute: 60 })], 10)).toMatchObject({
      allowed: true,
    });
    expect(reserve([keySubject({ tokens_per_minute: 60 })], 1)).toMatchObject({ allowed: false });
  });

  it("of huge limits is exact", () => {
    const huge = keySubject({ tokens_per_month: 1_000_000_000_000, tokens_per_minute: 1_000_000_000 });
    expect(reserve([huge], 999_999_999).allowed).toBe(true);
    expect(reserve([huge], 2)).toMatchObject({ allowed: false, refusal: { name: "tokens_per_minute" } });
    const { meters } = reserve([huge], 1);
    expect(meterOf(meters, "key", "tokens_per_month").remaining).toBe(999_000_000_000);
  });
});

describe("a reservation", () => {
  const key = [keySubject({ tokens_per_minute: 100, concurrent_generations: 1, tokens_per_month: 1_000 })];

  it("gives back what settling shows was not used", () => {
    const { id } = reserve(key, 100);
    settle(id, 30);
    const { allowed, meters } = reserve(key, 70);
    expect(allowed).toBe(true);
    expect(usedOf(meters, "key", "tokens_per_minute")).toBe(100);
    expect(usedOf(meters, "key", "tokens_per_month")).toBe(100);
  });

  it("is settled once, however often that is said", () => {
    const { id } = reserve(key, 100);
    for (const tokens of [30, 30, 0, 90]) settle(id, tokens);
    settle("never reserved", 50);
    const { meters } = reserve(key, 0);
    expect(usedOf(meters, "key", "tokens_per_minute")).toBe(30);
    expect(usedOf(meters, "key", "tokens_per_month")).toBe(30);
    expect(usedOf(meters, "key", "concurrent_generations")).toBe(0);
  });

  it("stands as it is where nobody knows what was used, and is over all the same", () => {
    settle(reserve(key, 60).id, null);
    const { meters } = reserve(key, 0);
    expect(usedOf(meters, "key", "tokens_per_minute")).toBe(60);
    expect(usedOf(meters, "key", "concurrent_generations")).toBe(0);
  });

  it("lets later requests pay where more was used than reserved", () => {
    settle(reserve(key, 50).id, 130);
    expect(reserve(key, 1)).toMatchObject({ refusal: { name: "tokens_per_minute" } });
    expect(reserve(key, 0).allowed).toBe(true);
  });

  it("asked for again after a lost answer is the same one", () => {
    const request = { id: "again", subjects: key, tokens: 60 };
    expect(ledger.reserve(request, START).allowed).toBe(true);
    const again = ledger.reserve(request, START);
    expect(again.allowed).toBe(true);
    expect(usedOf(again.meters, "key", "tokens_per_minute")).toBe(60);
  });

  it("of an edge that died holds its place for 15 minutes at most, and then counts as used", () => {
    reserve(key, 60);
    expect(reserve(key, 10, START + 899_999)).toMatchObject({
      refusal: { name: "concurrent_generations", waitMs: 1_000 },
    });
    const { allowed, meters } = reserve(key, 10, START + 900_000);
    expect(allowed).toBe(true);
    expect(usedOf(meters, "key", "tokens_per_month")).toBe(70);
  });
});

describe("a limit on what runs at a time", () => {
  it("counts generations, not other requests, and frees a place with each that ends", () => {
    const key = [keySubject({ concurrent_generations: 2 })];
    const [first] = [reserve(key, 10), reserve(key, 10), reserve(key, 0)];
    const refused = reserve(key, 10);
    expect(refused).toMatchObject({ refusal: { name: "concurrent_generations" } });
    expect(meterOf(refused.meters, "key", "concurrent_generations")).toMatchObject({
      used: 2,
      remaining: 0,
      resetMs: null,
    });
    settle(first?.id ?? "", 0, START + 120_000);
    expect(reserve(key, 10, START + 120_000).allowed).toBe(true);
  });
});

describe("a month's budget", () => {
  const key = [keySubject({ tokens_per_month: 100 })];

  it("lasts until the first of the next month, in UTC", () => {
    settle(reserve(key, 90).id, 90);
    const now = NEXT_MONTH - 1;
    expect(reserve(key, 20, now)).toMatchObject({ refusal: { name: "tokens_per_month", waitMs: 1 } });
    expect(reserve(key, 10, now).allowed).toBe(true);
    const fresh = reserve(key, 100, NEXT_MONTH);
    expect(fresh.allowed).toBe(true);
    expect(meterOf(fresh.meters, "key", "tokens_per_month")).toMatchObject({ remaining: 0, resetMs: 31 * 86_400_000 });
  });

  it("is charged for a generation in the month in which it began", () => {
    const { id } = reserve(key, 90, NEXT_MONTH - 1);
    settle(id, 40, NEXT_MONTH + 5);
    expect(usedOf(reserve(key, 0, NEXT_MONTH + 5).meters, "key", "tokens_per_month")).toBe(0);
  });

  it("counts what was used before it was set", () => {
    settle(reserve([keySubject({})], 80).id, 80);
    expect(reserve(key, 21)).toMatchObject({ allowed: false });
  });

  it("is still known when the subject was idle for hours", () => {
    settle(reserve(key, 80).id, 80);
    const others = [keySubject({}, "key_b")];
    for (let hour = 1; hour < 5; hour++) reserve(others, 0, START + hour * 3_600_000);
    expect(reserve(key, 21, START + 5 * 3_600_000)).toMatchObject({ refusal: { name: "tokens_per_month" } });
  });
});

describe("a process that was lost", () => {
  it("has forgotten nothing: window, running generations, month, and who may still settle", () => {
    const key = [keySubject({ requests_per_minute: 4, concurrent_generations: 2, tokens_per_month: 100 })];
    settle(reserve(key, 50).id, 20);
    const running = reserve(key, 30);
    reserve(key, 0);
    ledger = new Ledger(store, START + 1_000);
    const { meters } = ledger.check(key, 0, START + 1_000);
    expect(usedOf(meters, "key", "requests_per_minute")).toBe(3);
    expect(usedOf(meters, "key", "tokens_per_minute")).toBe(50);
    expect(usedOf(meters, "key", "concurrent_generations")).toBe(1);
    expect(usedOf(meters, "key", "tokens_per_month")).toBe(50);
    settle(running.id, 10, START + 2_000);
    expect(usedOf(ledger.check(key, 0, START + 2_000).meters, "key", "tokens_per_month")).toBe(30);
    expect(usedOf(ledger.check(key, 0, START + 60_000).meters, "key", "requests_per_minute")).toBe(0);
  });
});

describe("a disk that is full", () => {
  it("lets nobody in, and charges nobody", () => {
    const key = [keySubject({ requests_per_minute: 1 })];
    const save = store.save;
    store.save = () => {
      throw new Error("disk full");
    };
    expect(() => reserve(key, 5)).toThrow("disk full");
    store.save = save;
    expect(reserve(key, 5).allowed).toBe(true);
  });
});

describe("a clock that is set back", () => {
  it("stands still: nothing counts shorter, also after a restart", () => {
    const key = [keySubject({ requests_per_minute: 1 })];
    reserve(key, 0, START + 5_000);
    expect(reserve(key, 0, START)).toMatchObject({ refusal: { waitMs: 60_000 } });
    ledger = new Ledger(store, START);
    expect(reserve(key, 0, START + 64_999)).toMatchObject({ allowed: false, refusal: { waitMs: 1 } });
    expect(reserve(key, 0, START + 65_000).allowed).toBe(true);
  });
});

describe("a dry run", () => {
  it("says what the request would be told, for each limit, and changes nothing", () => {
    const subjects = [
      keySubject({ requests_per_minute: 5, tokens_per_minute: 100 }),
      projectSubject({ tokens_per_month: 50 }),
    ];
    reserve(subjects, 40);
    const first = ledger.check(subjects, 70, START + 10_000);
    expect(first.waits).toMatchObject([
      { requests_per_minute: 0, tokens_per_minute: 50_000, concurrent_generations: 0, tokens_per_month: 0 },
      { tokens_per_minute: 0, tokens_per_month: null },
    ]);
    expect(first.refusal).toEqual({ subject: "project", name: "tokens_per_month", waitMs: null });
    expect(ledger.check(subjects, 70, START + 10_000)).toEqual(first);
    expect(reserve(subjects, 70, START + 10_000)).toMatchObject({ refusal: first.refusal });
  });
});
