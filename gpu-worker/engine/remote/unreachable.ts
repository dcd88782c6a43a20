/** What Node says when there was nobody to connect to. */
const CODES = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN"]);

/** Whether no connection could be made. One that broke later says nothing about the next. */
export function isUnreachable(error: unknown): boolean {
  return CODES.has(codeOf(error));
}

/** An error in words. Where every address of a name was tried, Node's error has no message. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message === "" ? codeOf(error) || error.name : error.message;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
