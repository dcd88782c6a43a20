/** The calendar month (UTC) of a time in Unix milliseconds, as `2026-11`. */
export function monthOf(at: number): string {
  return new Date(at).toISOString().slice(0, "2026-11".length);
}

/** When the next month begins, in Unix milliseconds. */
export function nextMonthOf(at: number): number {
  const date = new Date(at);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}
