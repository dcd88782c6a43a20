import type { LimitName, SubjectKind } from "../../schema/api/limits.ts";
import type { Meter } from "./subject.ts";
import { WINDOW_MS } from "./window.ts";

const seconds = (milliseconds: number) => Math.ceil(milliseconds / 1000);

/** A duration as OpenAI writes it: `1s`, `6m0s`. */
export function formatReset(milliseconds: number): string {
  const total = seconds(milliseconds);
  const minutes = Math.floor(total / 60);
  return minutes === 0 ? `${total}s` : `${minutes}m${total % 60}s`;
}

/** A meter of a limit that there is. */
type LimitedMeter = Meter & { limit: number; remaining: number };
const isLimited = (meter: Meter): meter is LimitedMeter => meter.limit !== null && meter.remaining !== null;

/** OpenAI knows one limit of each kind: of the subjects' limits the one with the least left. */
function openaiHeaders(unit: string, meters: readonly LimitedMeter[]): Record<string, string> {
  const [tightest] = meters.toSorted((a, b) => a.remaining - b.remaining || a.limit - b.limit);
  if (tightest === undefined) return {};
  const { limit, remaining, resetMs } = tightest;
  return {
    [`x-ratelimit-limit-${unit}`]: String(limit),
    [`x-ratelimit-remaining-${unit}`]: String(remaining),
    ...(resetMs !== null && { [`x-ratelimit-reset-${unit}`]: formatReset(resetMs) }),
  };
}

const SUBJECTS: Record<SubjectKind, string> = { key: "key", project: "project", end_user: "end-user" };
/** How the IETF's fields name a limit, its quota unit (requests where nothing is said), and its window. */
const POLICIES: Record<LimitName, { name: string; parameters: string }> = {
  requests_per_minute: { name: "requests", parameters: `;w=${seconds(WINDOW_MS)}` },
  tokens_per_minute: { name: "tokens", parameters: `;w=${seconds(WINDOW_MS)};qu="tokens"` },
  concurrent_generations: { name: "generations", parameters: ';qu="concurrent-requests"' },
  // Months differ in length: `t` says when this one is over.
  tokens_per_month: { name: "month", parameters: ';qu="tokens"' },
};

const policyName = ({ subject, name }: Meter) => `"${SUBJECTS[subject]}-${POLICIES[name].name}"`;

/**
 * How the limits stand, for every answer: OpenAI's headers, and the IETF's (draft-ietf-httpapi-ratelimit-headers-11) with a policy for each
 * limit of each subject.
 */
export function meterHeaders(meters: readonly Meter[]): Record<string, string> {
  const limited = meters.filter(isLimited);
  if (limited.length === 0) return {};
  const named = (wanted: LimitName) => limited.filter(({ name }) => name === wanted);
  const policies = limited.map((meter) => `${policyName(meter)};q=${meter.limit}${POLICIES[meter.name].parameters}`);
  const states = limited.map((meter) => {
    const reset = meter.resetMs === null ? "" : `;t=${seconds(meter.resetMs)}`;
    return `${policyName(meter)};r=${meter.remaining}${reset}`;
  });
  return {
    ...openaiHeaders("requests", named("requests_per_minute")),
    ...openaiHeaders("tokens", named("tokens_per_minute")),
    "ratelimit-policy": policies.join(", "),
    ratelimit: states.join(", "),
  };
}

/** When to come again, in the standard's seconds and in the milliseconds OpenAI's clients prefer. */
export function retryHeaders(retryAfterMs: number): Record<string, string> {
  return { "retry-after": String(seconds(retryAfterMs)), "retry-after-ms": String(Math.ceil(retryAfterMs)) };
}

/** Every header a browser's script may read beyond the safelisted ones. */
export const EXPOSED_HEADERS = [
  "x-request-id",
  "x-generation-id",
  "idempotent-replayed",
  "etag",
  "retry-after",
  "retry-after-ms",
  "x-should-retry",
  "ratelimit",
  "ratelimit-policy",
  ...["limit", "remaining", "reset"].flatMap((part) => [`x-ratelimit-${part}-requests`, `x-ratelimit-${part}-tokens`]),
];
