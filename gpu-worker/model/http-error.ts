/** What a server answered instead of a file. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  /** Milliseconds after which the server would be asked again; `null` where it does not say. */
  readonly retryAfter: number | null;
  /** The hub's own word for what is wrong, from `X-Error-Code`. */
  readonly code: string | null;

  constructor({ status, headers }: Pick<Response, "status" | "headers">) {
    super(`HTTP status ${status}`);
    this.status = status;
    this.retryAfter = retryAfter(headers, Date.now());
    this.code = headers.get("x-error-code");
  }
}

/** A connection that ended, or fell silent, before all was sent. What came is kept; going on with it may well work. */
export class BrokenConnection extends Error {
  override readonly name = "BrokenConnection";
}

/**
 * Milliseconds to wait by `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3), else until the spent window of `RateLimit`
 * ends, which the hub sends.
 */
export function retryAfter(headers: Headers, now: number): number | null {
  const stated = headers.get("retry-after")?.trim() ?? "";
  if (/^\d+$/.test(stated)) return Number(stated) * 1000;
  const date = Date.parse(stated);
  if (!Number.isNaN(date)) return Math.max(0, date - now);
  const [, seconds] = /;\s*r=0\s*;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "") ?? [];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

/** The innermost reason of a failed fetch, whose own message is only "fetch failed", or its code where that says nothing. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isShell = error.message === "fetch failed" || error.message === "terminated";
  if (error.cause instanceof Error && isShell) return reasonOf(error.cause);
  return error.message === "" && "code" in error ? String(error.code) : error.message;
}

/** Of a server that was there a moment ago. One that cannot be reached at all has another code, and is not waited for. */
const RESET = ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"];

/** What `fetch` rejected with, told apart: a connection that broke, or whatever else it was. */
export function fetchFailure(error: unknown): unknown {
  const cause = error instanceof TypeError ? error.cause : undefined;
  const isReset = cause instanceof Error && "code" in cause && RESET.includes(String(cause.code));
  return isReset ? new BrokenConnection(reasonOf(error), { cause: error }) : error;
}
