import { describe, expect, it } from "vitest";
import { formatReset, meterHeaders, retryHeaders } from "../../../../edge/limits/headers.ts";
import type { Meter } from "../../../../edge/limits/subject.ts";

const meter = (
  subject: Meter["subject"],
  name: Meter["name"],
  limit: number | null,
  used: number,
  resetMs: number | null,
) => ({
  subject,
  name,
  limit,
  used,
  remaining: limit === null ? null : limit - used,
  resetMs,
});

describe("rate-limit headers", () => {
  it.each([
    [0, "0s"],
    [1, "1s"],
    [1_000, "1s"],
    [59_001, "1m0s"],
    [360_000, "6m0s"],
    [61_500, "1m2s"],
  ])("write %d ms as OpenAI does: %s", (milliseconds, text) => {
    expect(formatReset(milliseconds)).toBe(text);
  });

  it("say the same in OpenAI's and in the IETF's words", () => {
    const meters = [
      meter("key", "requests_per_minute", 60, 48, 22_300),
      meter("key", "tokens_per_minute", 40_000, 1_000, 60_000),
    ];
    expect(meterHeaders(meters)).toEqual({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "12",
      "x-ratelimit-reset-requests": "23s",
      "x-ratelimit-limit-tokens": "40000",
      "x-ratelimit-remaining-tokens": "39000",
      "x-ratelimit-reset-tokens": "1m0s",
      "ratelimit-policy": '"key-requests";q=60;w=60, "key-tokens";q=40000;w=60;qu="tokens"',
      ratelimit: '"key-requests";r=12;t=23, "key-tokens";r=39000;t=60',
    });
  });

  it("name each subject's limits in the IETF's, and in OpenAI's the one with the least left", () => {
    const meters = [
      meter("key", "requests_per_minute", 60, 10, 1_000),
      meter("key", "tokens_per_minute", null, 500, 1_000),
      meter("project", "requests_per_minute", 100, 95, 2_000),
      meter("project", "tokens_per_month", 1_000_000_000_000, 1, 86_400_000),
      meter("end_user", "requests_per_minute", 5, 0, 0),
      meter("end_user", "concurrent_generations", 3, 2, null),
    ];
    expect(meterHeaders(meters)).toEqual({
      "x-ratelimit-limit-requests": "5",
      "x-ratelimit-remaining-requests": "5",
      "x-ratelimit-reset-requests": "0s",
      "ratelimit-policy":
        '"key-requests";q=60;w=60, "project-requests";q=100;w=60, "project-month";q=1000000000000;qu="tokens", ' +
        '"end-user-requests";q=5;w=60, "end-user-generations";q=3;qu="concurrent-requests"',
      ratelimit:
        '"key-requests";r=50;t=1, "project-requests";r=5;t=2, "project-month";r=999999999999;t=86400, ' +
        '"end-user-requests";r=5;t=0, "end-user-generations";r=1',
    });
  });

  it("are left out where nothing is limited", () => {
    expect(meterHeaders([meter("key", "requests_per_minute", null, 7, 0)])).toEqual({});
  });

  it("round the wait up, so that nobody comes too early", () => {
    expect(retryHeaders(1_001)).toEqual({ "retry-after": "2", "retry-after-ms": "1001" });
  });
});
