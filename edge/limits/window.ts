/** Length of the rolling window. */
export const WINDOW_MS = 60_000;

/** What a key may do in any window of 60 s. */
export type Limits = { requests: number; tokens: number };

/** One admitted request: when (Unix milliseconds), and the tokens it reserved or, once settled, used. */
export type Entry = { id: number; at: number; tokens: number };

/** The admitted requests of one key that may still count, oldest first. */
export type Window = readonly Entry[];

/** One limit as it stands: what is left now, and the time until all of it is, in milliseconds. */
export type Meter = { limit: number; remaining: number; resetMs: number };
export type Meters = { requests: Meter; tokens: Meter };

export type Decision = { meters: Meters } & (
  | { allowed: true; at: number }
  | { allowed: false; reason: "requests" | "tokens"; retryAfterMs: number }
  /** More than the limit on its own: waiting does not help. */
  | { allowed: false; reason: "too_large" }
);

/** The entries that count at `now`: one admitted at t counts in [t, t + 60 s). */
export function unexpired(window: Window, now: number): Window {
  const first = window.findIndex((entry) => entry.at + WINDOW_MS > now);
  return first === -1 ? [] : window.slice(first);
}

/** The window with one entry's reserved tokens replaced by what was used; unchanged where it has expired. */
export function settle(window: Window, id: number, tokens: number): Window {
  return window.map((entry) => (entry.id === id ? { ...entry, tokens } : entry));
}

function sumTokens(window: Window): number {
  return window.reduce((sum, entry) => sum + entry.tokens, 0);
}

/** How each limit stands when `window` counts at `now`. */
function readMeters(window: Window, limits: Limits, now: number): Meters {
  const newestWithTokens = window.findLast((entry) => entry.tokens > 0);
  return {
    requests: {
      limit: limits.requests,
      remaining: Math.max(0, limits.requests - window.length),
      resetMs: untilExpired(window.at(-1), now),
    },
    tokens: {
      limit: limits.tokens,
      remaining: Math.max(0, limits.tokens - sumTokens(window)),
      resetMs: untilExpired(newestWithTokens, now),
    },
  };
}

function untilExpired(entry: Entry | undefined, now: number): number {
  return entry === undefined ? 0 : entry.at + WINDOW_MS - now;
}

/** Time until enough of the oldest entries have expired for `tokens` more; 0 when they fit now. */
function tokensWait(window: Window, limit: number, tokens: number, now: number): number {
  let used = sumTokens(window);
  let wait = 0;
  for (const entry of window) {
    if (used + tokens <= limit) break;
    used -= entry.tokens;
    wait = untilExpired(entry, now);
  }
  return wait;
}

/** Time until one more request fits; 0 when it fits now. */
function requestsWait(window: Window, limit: number, now: number): number {
  if (limit < 1) return WINDOW_MS;
  const mustExpire = window.length - (limit - 1);
  return mustExpire <= 0 ? 0 : untilExpired(window[mustExpire - 1], now);
}

/**
 * Whether a request that reserves `tokens` may enter. Admitting only what fits the window that ends now keeps every other window
 * of the same length within the limits too, as long as settling never raises an entry; one that does is paid off by later requests.
 *
 * A clock that was set back stands still at the newest entry, so the window stays ordered.
 */
export function decide(window: Window, limits: Limits, tokens: number, clock: number): Decision {
  const now = Math.max(clock, window.at(-1)?.at ?? 0);
  const current = unexpired(window, now);
  const meters = readMeters(current, limits, now);
  if (tokens > limits.tokens) return { meters, allowed: false, reason: "too_large" };
  const forRequests = requestsWait(current, limits.requests, now);
  const forTokens = tokensWait(current, limits.tokens, tokens, now);
  if (forRequests > 0 || forTokens > 0) {
    const reason = forRequests >= forTokens ? "requests" : "tokens";
    return { meters, allowed: false, reason, retryAfterMs: Math.max(forRequests, forTokens) };
  }
  return { meters: readMeters([...current, { id: 0, at: now, tokens }], limits, now), allowed: true, at: now };
}
