/** Failures in a row after which a worker is left alone. */
export const FAILURES_TO_OPEN = 5;
/** How long it is left alone the first time; each time that it fails again, twice as long. */
export const FIRST_OPEN_MS = 1_000;
export const LONGEST_OPEN_MS = 30_000;
/** A probe of which nothing was heard for so long is taken for lost, and another one is sent. */
export const PROBE_MS = 10_000;

/** A circuit breaker: whether a worker that failed again and again is asked at all. Times are Unix milliseconds. */
export type Breaker =
  | { state: "closed"; failures: number }
  /** Nothing is sent. `openings`: how many times in a row it opened. */
  | { state: "open"; until: number; openings: number }
  /** One request was let through, to see how it fares. */
  | { state: "half_open"; until: number; openings: number };

export const CLOSED: Breaker = { state: "closed", failures: 0 };

const openFor = (openings: number) => Math.min(LONGEST_OPEN_MS, FIRST_OPEN_MS * 2 ** (openings - 1));

function opened(openings: number, now: number): Breaker {
  return { state: "open", until: now + openFor(openings), openings };
}

/** Whether a request may be sent. A clock that was set back keeps nothing closed for longer than it would have been. */
export function lets(breaker: Breaker, now: number): boolean {
  if (breaker.state === "closed") return true;
  const longest = breaker.state === "open" ? openFor(breaker.openings) : PROBE_MS;
  return now >= breaker.until || breaker.until - now > longest;
}

/** A request that it lets through is sent. */
export function onSent(breaker: Breaker, now: number): Breaker {
  if (breaker.state === "closed") return breaker;
  return { state: "half_open", until: now + PROBE_MS, openings: breaker.openings };
}

/** The worker answered as a worker that works. */
export function onSuccess(): Breaker {
  return CLOSED;
}

/** The connection failed, or the worker said that it is broken. */
export function onFailure(breaker: Breaker, now: number): Breaker {
  switch (breaker.state) {
    case "closed": {
      const failures = breaker.failures + 1;
      return failures < FAILURES_TO_OPEN ? { state: "closed", failures } : opened(1, now);
    }
    // Of a request that was sent before it opened.
    case "open":
      return breaker;
    case "half_open":
      return opened(breaker.openings + 1, now);
  }
}

/** The caller left before anything was heard of the worker: the next request may probe in its place. */
export function onAbandoned(breaker: Breaker, now: number): Breaker {
  return breaker.state === "half_open" ? { ...breaker, until: now } : breaker;
}
