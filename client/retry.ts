/** Most time that a client waits by itself, in milliseconds. */
const LONGEST_WAIT_MS = 60_000;
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 8_000;

/** Nothing was done about a request that was answered so; it may be made again, whatever it does. */
const REFUSED = [429, 503];
/** What is made again where making it twice does no harm. */
const FAILED = [408, 500, 502, 504];

/** A failed try: the answer's status and headers, or `null` where none came. */
export type Failure = { status: number; headers: Headers } | null;

const numberOf = (text: string | null): number | null => {
  const number = text === null || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(number) && number >= 0 ? number : null;
};

/** The wait that the server asks for, in milliseconds. */
function askedWait(headers: Headers): number | null {
  const milliseconds = numberOf(headers.get("retry-after-ms"));
  if (milliseconds !== null) return milliseconds;
  const seconds = numberOf(headers.get("retry-after"));
  return seconds === null ? null : seconds * 1000;
}

function isWorthIt(failure: Failure, repeatable: boolean): boolean {
  if (failure === null) return repeatable;
  const asked = failure.headers.get("x-should-retry");
  if (asked === "false") return false;
  if (REFUSED.includes(failure.status)) return true;
  return repeatable && (asked === "true" || FAILED.includes(failure.status));
}

/**
 * How long to wait before the next try, in milliseconds, or `null` where there is to be none. Without a word from the server the waits double,
 * with up to a quarter less by chance, so that many clients do not come back together.
 *
 * @param tries those that failed so far, from 1
 * @param repeatable whether making the request twice does no harm
 * @param random 0 up to 1
 */
export function waitBeforeRetry(failure: Failure, tries: number, repeatable: boolean, random: number): number | null {
  if (!isWorthIt(failure, repeatable)) return null;
  const asked = failure === null ? null : askedWait(failure.headers);
  if (asked !== null) return asked <= LONGEST_WAIT_MS ? asked : null;
  return Math.min(FIRST_WAIT_MS * 2 ** (tries - 1), LAST_WAIT_MS) * (1 - random / 4);
}
