import { describe, expect, it } from "vitest";
import { formatReset, meterHeaders, retryHeaders } from "../../../edge/limits/headers.ts";

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
    const meters = {
      requests: { limit: 60, remaining: 12, resetMs: 22_300 },
      tokens: { limit: 40_000, remaining: 39_000, resetMs: 60_000 },
    };
    expect(meterHeaders(meters)).toEqual({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "12",
      "x-ratelimit-reset-requests": "23s",
      "x-ratelimit-limit-tokens": "40000",
      "x-ratelimit-remaining-tokens": "39000",
      "x-ratelimit-reset-tokens": "1m0s",
      "ratelimit-policy": '"rpm";q=60;w=60, "tpm";q=40000;w=60;qu="tokens"',
      ratelimit: '"rpm";r=12;t=23, "tpm";r=39000;t=60',
    });
  });

  it("round the wait up, so that nobody comes too early", () => {
    expect(retryHeaders(1_001)).toEqual({ "retry-after": "2", "retry-after-ms": "1001" });
  });
});
