import { describe, expect, it } from "vitest";
import { ExpiringCache } from "../../../edge/expiring-cache.ts";

describe("an expiring cache", () => {
  it("forgets an entry when its time is over", () => {
    const cache = new ExpiringCache<number>({ capacity: 10, lifetimeMs: 100 });
    cache.set("a", 1, 0);
    expect(cache.get("a", 99)).toBe(1);
    expect(cache.get("a", 100)).toBeUndefined();
  });

  it("makes room by dropping the oldest, where setting again makes new", () => {
    const cache = new ExpiringCache<number>({ capacity: 2, lifetimeMs: 100 });
    cache.set("a", 1, 0);
    cache.set("b", 2, 1);
    cache.set("a", 3, 2);
    cache.set("c", 4, 3);
    expect([cache.get("a", 4), cache.get("b", 4), cache.get("c", 4)]).toEqual([3, undefined, 4]);
  });
});
