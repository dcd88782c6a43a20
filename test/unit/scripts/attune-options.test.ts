import { describe, expect, it } from "vitest";
import { bounds, duration, expiry, limit, moderation, names, namesOrAll } from "../../../scripts/attune/parse.ts";

describe("bounds on the command line", () => {
  it("are a locked level, a range, or no bound, for each attribute", () => {
    expect(bounds("humor=0..2,verbosity=3, toxicity=any")).toEqual({
      humor: { min: 0, max: 2 },
      verbosity: { locked: 3 },
      toxicity: {},
    });
  });

  it.each(["humor", "humor=", "humor=5", "humor=3..1", "humor=1..", "humor=-1", "humor=1=2", "humor=1,", "humor=12"])(
    "like %j are refused with what to write",
    (text) => expect(() => bounds(text)).toThrow(/Must be/),
  );

  it("of what is no attribute name those that are", () => {
    expect(() => bounds("wit=1")).toThrow(/wit is no attribute: quality, toxicity/);
  });
});

describe("moderation on the command line", () => {
  it("is a mode and a level, or none", () => {
    expect(moderation("block=1")).toEqual({ mode: "block", above: 1 });
    expect(moderation("annotate=0")).toEqual({ mode: "annotate", above: 0 });
    expect(moderation("none")).toBeNull();
  });

  it.each(["", "block", "block=", "block=4", "block=1=2", "block=01", "delete=1", "annotate=-1"])(
    "%j is none",
    (text) => expect(() => moderation(text)).toThrow(/Must be block=level/),
  );
});

describe("times on the command line", () => {
  it.each([
    ["90s", 90],
    ["15m", 900],
    ["24h", 86_400],
    ["30d", 2_592_000],
    ["0s", 0],
  ])("%s are %d seconds", (text, seconds) => expect(duration(text)).toBe(seconds));

  it.each(["", "90", "1w", "-1s", "1.5h"])("%j is none", (text) =>
    expect(() => duration(text)).toThrow(/Must be a time/),
  );

  it("expire things after a while, on a date, or never", () => {
    const now = Date.UTC(2026, 10, 1);
    expect(expiry("90d", now)).toBe(Date.UTC(2026, 10, 1) / 1000 + 90 * 86_400);
    expect(expiry("2027-01-31", now)).toBe(Date.UTC(2027, 0, 31) / 1000);
    expect(expiry("2027-01-31T12:00Z", now)).toBe(Date.UTC(2027, 0, 31, 12) / 1000);
    expect(expiry("never", now)).toBeNull();
    expect(() => expiry("tomorrow", now)).toThrow(/Must be .* never/);
    expect(() => expiry("2027-13-01", now)).toThrow(/Must be/);
  });
});

describe("limits on the command line", () => {
  it("are whole numbers, 0 too, or none", () => {
    expect(["600", "0", "none"].map(limit)).toEqual([600, 0, null]);
  });

  it.each(["", "-1", "1.5", "2e6", "1_000", "all", "99999999999999999999"])("%j is none", (text) =>
    expect(() => limit(text)).toThrow(/Must be a whole number, or none/),
  );
});

describe("lists on the command line", () => {
  it("have commas between their names", () => {
    expect(names("chat, models:read")).toEqual(["chat", "models:read"]);
    expect(() => names("chat,,admin")).toThrow(/commas/);
  });

  it("are no limit where they say all", () => {
    expect(namesOrAll("all")).toBeNull();
    expect(namesOrAll("plain")).toEqual(["plain"]);
  });
});
