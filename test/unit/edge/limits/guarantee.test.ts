import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Subject } from "../../../../edge/limits/subject.ts";
import { WINDOW_MS } from "../../../../edge/limits/window.ts";
import type { Limits } from "../../../../schema/api/limits.ts";
import { type Admitted, Cluster } from "./cluster.ts";
import { endUserSubject, keySubject, projectSubject } from "./subjects.ts";

/** A clock may be off by seconds while a lease lasts, in both directions. */
const wobble = fc.oneof(fc.constant(0), fc.integer({ min: -2_000, max: 2_000 }));
const nth = fc.nat(1_000);
const tokens = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 20 }));

const isolate = nth;
const who = fc.nat(3);

/** What may happen, in any order. */
const event = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("burst" as const),
      isolate,
      who,
      count: fc.integer({ min: 1, max: 100 }),
      tokens,
      wobble,
    }),
  },
  {
    weight: 3,
    // What goes wrong where a lease counts too short: it is used as late as can be, then the limit is used up, and then the time
    // comes when the lease might be forgotten.
    arbitrary: fc.record({
      kind: fc.constant("squeeze" as const),
      isolate,
      other: isolate,
      who,
      tokens,
      wobble,
      heldMs: fc.integer({ min: 3_000, max: 5_000 }),
      restMs: fc.integer({ min: 54_000, max: 62_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("request" as const), isolate, who, tokens, wobble }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("decide" as const), nth }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("answer" as const), nth, lost: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("settle" as const),
      nth,
      count: fc.nat(150),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      lost: fc.boolean(),
      wobble,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      milliseconds: fc.oneof(fc.nat(1_000), fc.nat(6_000), fc.nat(70_000)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill isolate" as const), isolate }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill object" as const) }) },
);
type Traffic = { isolate: number; who: number; tokens: number; wobble: number };
type Event = typeof event extends fc.Arbitrary<infer E> ? E : never;

const requests = fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1_500, max: 2_000 }));
const tokenLimit = fc.oneof(fc.constant(null), fc.nat(200), fc.integer({ min: 4_000, max: 20_000 }));
const limits = fc.record({ requests_per_minute: requests, tokens_per_minute: tokenLimit });

/** Two keys of one project, the first with two end users. */
function callersUnder(key: Partial<Limits>, project: Partial<Limits>, endUser: Partial<Limits>): Subject[][] {
  const owner = projectSubject(project);
  return [
    [keySubject(key), owner],
    [keySubject(key), owner, endUserSubject(endUser, "one")],
    [keySubject(key), owner, endUserSubject(endUser, "two")],
    [keySubject(key, "key_b"), owner],
  ];
}

/** One request that the object, where it is asked, answers at once. Returns whether it was let through. */
function ask(
  cluster: Cluster,
  subjects: readonly Subject[],
  { isolate, tokens, wobble }: Omit<Traffic, "who">,
): boolean {
  const before = cluster.admitted.length;
  cluster.request(isolate, subjects, tokens, wobble);
  cluster.decide(-1);
  cluster.answer(-1, false);
  return cluster.admitted.length > before;
}

function play(cluster: Cluster, callers: readonly Subject[][], happening: Event): void {
  const subjects = "who" in happening ? (callers[happening.who] ?? []) : [];
  switch (happening.kind) {
    case "burst":
      for (let count = 0; count < happening.count; count++) ask(cluster, subjects, happening);
      break;
    case "squeeze": {
      const other = { ...happening, isolate: happening.other };
      const fill = () => {
        for (let count = 0; count < 2_500 && ask(cluster, subjects, other); ) count++;
      };
      for (let count = 0; count < 25; count++) ask(cluster, subjects, happening);
      cluster.advance(happening.heldMs);
      for (let count = 0; count < 20; count++) ask(cluster, subjects, happening);
      fill();
      cluster.advance(happening.restMs);
      fill();
      break;
    }
    case "request":
      cluster.request(happening.isolate, subjects, happening.tokens, happening.wobble);
      break;
    case "decide":
      cluster.decide(happening.nth);
      break;
    case "answer":
      cluster.answer(happening.nth, happening.lost);
      break;
    case "settle":
      for (let count = 0; count < happening.count; count++) {
        cluster.settle(happening.nth, happening.share, happening.lost, happening.wobble);
      }
      break;
    case "advance":
      cluster.advance(happening.milliseconds);
      break;
    case "kill isolate":
      cluster.killIsolate(happening.isolate);
      break;
    case "kill object":
      cluster.killObject();
  }
}

/** The most that was admitted in any 60 s, of one subject. */
function busiestMinute(admitted: readonly Admitted[], account: string): { requests: number; tokens: number } {
  const own = admitted.filter(({ subjects }) => subjects.some((subject) => subject.account === account));
  const busiest = { requests: 0, tokens: 0 };
  let [first, sum] = [0, 0];
  own.forEach(({ at, tokens: used }, last) => {
    sum += used;
    for (let start = own[first]; start !== undefined && start.at <= at - WINDOW_MS; start = own[first]) {
      sum -= start.tokens;
      first += 1;
    }
    busiest.requests = Math.max(busiest.requests, last - first + 1);
    busiest.tokens = Math.max(busiest.tokens, sum);
  });
  return busiest;
}

function expectWithinLimits(cluster: Cluster, callers: readonly Subject[][]): void {
  for (const { account, limits: limit } of callers.flat()) {
    const { requests: mostRequests, tokens: mostTokens } = busiestMinute(cluster.admitted, account);
    expect(mostRequests, account).toBeLessThanOrEqual(limit.requests_per_minute ?? Number.POSITIVE_INFINITY);
    expect(mostTokens, account).toBeLessThanOrEqual(limit.tokens_per_minute ?? Number.POSITIVE_INFINITY);
  }
}

describe("limits by the minute, with leases", () => {
  it("are never exceeded in any 60 s, whatever the order of events, the isolates, their clocks, losses and crashes", {
    timeout: 60_000,
  }, () => {
    const offsets = fc.array(fc.integer({ min: -3_600_000, max: 3_600_000 }), { minLength: 1, maxLength: 4 });
    const events = fc.array(event, { minLength: 5, maxLength: 25, size: "max" });
    fc.assert(
      fc.property(offsets, events, limits, limits, limits, (clocks, happenings, key, project, endUser) => {
        const cluster = new Cluster(clocks);
        const callers = callersUnder(key, project, endUser);
        for (const happening of happenings) play(cluster, callers, happening);
        expectWithinLimits(cluster, callers);
      }),
      { numRuns: 60 },
    );
  });
});

describe("limits on what runs at a time and on the month", () => {
  it("are never exceeded, whatever the order of events, losses and crashes", () => {
    const rare = fc.constantFrom({ kind: "kill object" as const }, { kind: "advance" as const, milliseconds: 3_000 });
    const traffic = fc.record({
      kind: fc.constantFrom("burst" as const, "request" as const),
      isolate,
      who,
      count: fc.integer({ min: 1, max: 5 }),
      tokens: fc.integer({ min: 1, max: 20 }),
      wobble: fc.constant(0),
    });
    const messages = fc.record({
      kind: fc.constantFrom("decide" as const, "answer" as const),
      nth,
      lost: fc.boolean(),
    });
    const ending = fc.record({
      kind: fc.constant("settle" as const),
      nth,
      count: fc.nat(5),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      lost: fc.boolean(),
      wobble: fc.constant(0),
    });
    const exact = fc.record({ concurrent_generations: fc.nat(6), tokens_per_month: fc.nat(300) });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(rare, traffic, messages, ending), { maxLength: 60, size: "max" }),
        exact,
        exact,
        (happenings, key, project) => {
          const cluster = new Cluster([0, 0]);
          const callers = callersUnder(key, project, {});
          for (const happening of happenings) {
            play(cluster, callers, happening);
            expect(cluster.running).toBeLessThanOrEqual(project.concurrent_generations);
          }
          for (const { account, limits: limit } of callers.flat()) {
            const own = cluster.admitted.filter(({ subjects }) =>
              subjects.some((subject) => subject.account === account),
            );
            const used = own.reduce((sum, { tokens: more }) => sum + more, 0);
            expect(used, account).toBeLessThanOrEqual(limit.tokens_per_month ?? Number.POSITIVE_INFINITY);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

/** A lone key that asks so often from so many isolates for five minutes. */
function steadyTraffic(key: Partial<Limits>, { everyMs, isolates }: { everyMs: number; isolates: number }): Cluster {
  const cluster = new Cluster(Array.from({ length: isolates }, () => 0));
  const subjects = [keySubject(key), projectSubject({})];
  for (let request = 0; request * everyMs < 300_000; request++) {
    cluster.advance(everyMs);
    ask(cluster, subjects, { isolate: request, tokens: 10, wobble: 0 });
    cluster.settle(0, 0.5, false, 0);
  }
  expectWithinLimits(cluster, [subjects]);
  return cluster;
}

describe("leases", () => {
  it("keep most requests of a hot key from the object", () => {
    const cluster = steadyTraffic(
      { requests_per_minute: 30_000, tokens_per_minute: 400_000 },
      { everyMs: 10, isolates: 3 },
    );
    expect(cluster.admitted).toHaveLength(30_000);
    expect(cluster.asked).toBeLessThan(1_500);
  });

  it("let a key that asks for more have at least 90 % of its limit", () => {
    const cluster = steadyTraffic({ requests_per_minute: 3_000 }, { everyMs: 10, isolates: 4 });
    const inFiveMinutes = cluster.admitted.length / 5;
    expect(inFiveMinutes).toBeGreaterThan(0.9 * 3_000);
  });

  it.each([
    { requests_per_minute: 1_400 },
    { requests_per_minute: 30_000, tokens_per_minute: 3_000 },
    { concurrent_generations: 50 },
    { tokens_per_month: 1_000_000 },
  ])("are not granted under limits that are small or have to be exact, as %j", (key) => {
    const cluster = steadyTraffic(key, { everyMs: 50, isolates: 1 });
    expect(cluster.admitted.filter(({ leased }) => leased)).toHaveLength(0);
  });

  it("are not granted to keys that ask now and then", () => {
    const cluster = steadyTraffic({ requests_per_minute: 30_000 }, { everyMs: 400, isolates: 1 });
    expect(cluster.asked).toBe(cluster.admitted.length);
  });
});
