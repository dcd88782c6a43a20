import { beforeEach, describe, expect, it } from "vitest";
import { LeasePool, type Permit } from "../../../../edge/limits/lease-pool.ts";
import { limitsOf, meterOf } from "./subjects.ts";

const NOW = 1_700_000_000_000;
const PROJECT = "proj_a";

let pool: LeasePool;
let first: Permit;

/** A lease of 10 requests and 100 tokens, asked for now, of which one request with 10 tokens is taken. */
beforeEach(() => {
  pool = new LeasePool();
  const { requests_per_minute: limit } = limitsOf({ requests_per_minute: 3_000 });
  const meters = [
    {
      subject: "key" as const,
      name: "requests_per_minute" as const,
      limit,
      used: 40,
      remaining: 2_960,
      resetMs: 70_000,
    },
  ];
  const grant = { id: "lease", projectId: PROJECT, askedAt: NOW, meters, block: { requests: 10, tokens: 100 } };
  first = pool.open("holder", grant, 10).permit;
});

const settlement = { id: "lease", requests: 1, tokens: 10, ended: true };

describe("a lease", () => {
  it("admits what it holds, and no more, of requests and of tokens", () => {
    expect(pool.take("holder", 91, NOW)).toBeNull();
    for (let count = 0; count < 9; count++) expect(pool.take("holder", 10, NOW)).not.toBeNull();
    expect(pool.take("holder", 0, NOW)).toBeNull();
  });

  it("is its holder's alone", () => {
    expect(pool.take("another", 0, NOW)).toBeNull();
  });

  it("tells how the limits stand, what is left of it among what is left", () => {
    const taken = pool.take("holder", 10, NOW + 1_000);
    expect(meterOf(taken?.meters ?? [], "key", "requests_per_minute")).toMatchObject({
      remaining: 2_968,
      used: 32,
      resetMs: 69_000,
    });
  });

  it("is over five seconds after it was asked for", () => {
    expect(pool.take("holder", 1, NOW + 4_999)).not.toBeNull();
    expect(pool.take("holder", 1, NOW + 5_000)).toBeNull();
  });

  it("is over when the clock was set back, for then nobody knows how old it is", () => {
    expect(pool.take("holder", 1, NOW + 3_000)).not.toBeNull();
    expect(pool.take("holder", 1, NOW + 1_000)).toBeNull();
  });

  it("admits on what was given back while it lasts", () => {
    pool.settle(first, 2, NOW);
    expect(pool.take("holder", 98, NOW)).not.toBeNull();
  });

  it("is reported with what was taken once it is over, as settled only when nothing of it runs any more", () => {
    expect(pool.collect(PROJECT, NOW + 4_000)).toEqual([]);
    expect(pool.collect("proj_b", NOW + 5_000)).toEqual([]);
    expect(pool.collect(PROJECT, NOW + 5_000)).toEqual([{ ...settlement, ended: false }]);
    expect(pool.settle(first, 4, NOW + 6_000)).toEqual({ ...settlement, tokens: 4 });
    expect(pool.collect(PROJECT, NOW + 7_000)).toEqual([]);
  });

  it("is reported once where nothing of it runs", () => {
    expect(pool.settle(first, null, NOW + 1_000)).toBeNull();
    expect(pool.collect(PROJECT, NOW + 5_000)).toEqual([settlement]);
    expect(pool.collect(PROJECT, NOW + 5_000)).toEqual([]);
  });

  it("is forgotten where nobody asked for 15 minutes, by when the object has given it up", () => {
    pool.settle(first, 4, NOW);
    pool.collect("proj_b", NOW + 900_001);
    expect(pool.collect(PROJECT, NOW + 900_001)).toEqual([]);
  });
});
