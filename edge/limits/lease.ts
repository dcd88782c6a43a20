import type { Demand } from "./account.ts";
import type { Standing } from "./decide.ts";
import { type Amount, sumOf, WINDOW_MS, type Window } from "./window.ts";

/** How long an isolate may use a lease, by its own clock, from when it asked for it. */
export const LEASE_MS = 5_000;
/**
 * How long a lease counts. What it allows is used at the latest LEASE_MS after it was granted, and as much again is left for a clock of
 * the isolate that stood still or was set back; from then on it counts for the whole window.
 */
export const LEASE_COUNTS_MS = 2 * LEASE_MS + WINDOW_MS;

/** A lease holds at most this share of a limit, and of what is left of it: close to a limit every request is decided by itself. */
const SHARE_OF_LIMIT = 1 / 50;
const SHARE_OF_REMAINING = 1 / 8;
/** A smaller block is not worth what it ties up. */
const LEAST_REQUESTS = 8;
const MOST_REQUESTS = 1_000;
/** Limits below this are never leased: the object decides 25 requests a second without effort. */
const SMALLEST_LIMIT = 1_500;
/** Asked for within LEASE_MS, before anything is leased. */
const HOT_REQUESTS = 20;

/** Requests that were admitted in the last seconds, leased ones among them. */
function recentRequests(window: Window, now: number): number {
  return sumOf(
    window.filter(({ until }) => until > now + WINDOW_MS - LEASE_MS),
    "requests",
  );
}

/** The largest block that one limit allows. */
function blockOf(limit: number | null, used: number): number {
  if (limit === null) return Number.POSITIVE_INFINITY;
  return Math.floor(Math.min(limit * SHARE_OF_LIMIT, (limit - used) * SHARE_OF_REMAINING));
}

/**
 * The block of permits to lease along with this request, which is the first of them; `null` where there is none: little traffic, a small
 * limit, one that is almost used up, or one that has to be exact (what runs at a time, and the month's tokens).
 */
export function sizeLease(standings: readonly Standing[], { tokens, generations }: Demand, now: number): Amount | null {
  const narrowest = standings.find(({ subject }) => subject.kind === "end_user") ?? standings[0];
  if (narrowest === undefined) return null;
  const recent = recentRequests(narrowest.account.window, now);
  if (recent < HOT_REQUESTS) return null;
  let requests = Math.min(recent, MOST_REQUESTS);
  for (const { subject, account } of standings) {
    const { limits } = subject;
    const isExact = limits.concurrent_generations !== null || limits.tokens_per_month !== null;
    if (generations > 0 && isExact) return null;
    if (limits.requests_per_minute !== null && limits.requests_per_minute < SMALLEST_LIMIT) return null;
    requests = Math.min(requests, blockOf(limits.requests_per_minute, sumOf(account.window, "requests")));
    if (tokens > 0) {
      const block = blockOf(limits.tokens_per_minute, sumOf(account.window, "tokens"));
      requests = Math.min(requests, Math.floor(block / tokens));
    }
  }
  return requests < LEAST_REQUESTS ? null : { requests, tokens: requests * tokens };
}
