import { type Meter, type Meters, WINDOW_MS } from "./window.ts";

const seconds = (milliseconds: number) => Math.ceil(milliseconds / 1000);

/** A duration as OpenAI writes it: `1s`, `6m0s`. */
export function formatReset(milliseconds: number): string {
  const total = seconds(milliseconds);
  const minutes = Math.floor(total / 60);
  return minutes === 0 ? `${total}s` : `${minutes}m${total % 60}s`;
}

const openaiHeaders = (name: string, { limit, remaining, resetMs }: Meter) => ({
  [`x-ratelimit-limit-${name}`]: String(limit),
  [`x-ratelimit-remaining-${name}`]: String(remaining),
  [`x-ratelimit-reset-${name}`]: formatReset(resetMs),
});

/** How the limits stand, for every answer: OpenAI's headers, and the IETF's (draft-ietf-httpapi-ratelimit-headers-11). */
export function meterHeaders({ requests, tokens }: Meters): Record<string, string> {
  const window = seconds(WINDOW_MS);
  return {
    ...openaiHeaders("requests", requests),
    ...openaiHeaders("tokens", tokens),
    "ratelimit-policy": `"rpm";q=${requests.limit};w=${window}, "tpm";q=${tokens.limit};w=${window};qu="tokens"`,
    ratelimit:
      `"rpm";r=${requests.remaining};t=${seconds(requests.resetMs)}, ` +
      `"tpm";r=${tokens.remaining};t=${seconds(tokens.resetMs)}`,
  };
}

/** When to come again, in the standard's seconds and in the milliseconds OpenAI's clients prefer. */
export function retryHeaders(retryAfterMs: number): Record<string, string> {
  return { "retry-after": String(seconds(retryAfterMs)), "retry-after-ms": String(Math.ceil(retryAfterMs)) };
}

/** Every header a browser's script may read beyond the safelisted ones. */
export const EXPOSED_HEADERS = [
  "x-request-id",
  "retry-after",
  "retry-after-ms",
  "x-should-retry",
  "ratelimit",
  "ratelimit-policy",
  ...["limit", "remaining", "reset"].flatMap((part) => [`x-ratelimit-${part}-requests`, `x-ratelimit-${part}-tokens`]),
];
