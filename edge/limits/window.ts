/** Length of the rolling window. */
export const WINDOW_MS = 60_000;
/** What stops counting within the same second is kept as one sum, so a window is never longer than its seconds. */
const SLOT_MS = 1_000;

/** What a request takes out of a window. */
export type Amount = { requests: number; tokens: number };

/** A sum that counts until `until` (Unix milliseconds): the latest time among what it is made of. */
type Slot = Amount & { index: number; until: number };

/** What counts in the rolling minute, in the order in which it stops counting. */
export type Window = readonly Slot[];

/** The slots that count at `now`. */
export function unexpired(window: Window, now: number): Window {
  const first = window.findIndex((slot) => slot.until > now);
  return first === -1 ? [] : window.slice(first);
}

/**
 * The window with `amount` more (or less, where it is negative) that counts until `until`. It may count up to a second longer, never
 * shorter.
 */
export function addAmount(window: Window, until: number, { requests, tokens }: Amount): Window {
  const index = Math.floor(until / SLOT_MS);
  const position = window.findLastIndex((slot) => slot.index <= index);
  const slot = window[position];
  if (slot?.index !== index) return window.toSpliced(position + 1, 0, { index, until, requests, tokens });
  return window.with(position, {
    index,
    until: Math.max(slot.until, until),
    requests: slot.requests + requests,
    tokens: slot.tokens + tokens,
  });
}

export function sumOf(window: Window, unit: keyof Amount): number {
  return window.reduce((sum, slot) => sum + slot[unit], 0);
}

/** Time until nothing of this unit counts any more. */
export function untilEmpty(window: Window, unit: keyof Amount, now: number): number {
  const last = window.findLast((slot) => slot[unit] > 0);
  return last === undefined ? 0 : last.until - now;
}

/** Time until so much more fits under the limit; 0 where it fits now, `null` where it never will. */
export function untilFits(
  window: Window,
  unit: keyof Amount,
  { limit, amount, now }: { limit: number; amount: number; now: number },
): number | null {
  if (amount === 0) return 0;
  if (amount > limit) return null;
  let used = sumOf(window, unit);
  let wait = 0;
  for (const slot of window) {
    if (used + amount <= limit) break;
    if (slot[unit] <= 0) continue;
    used -= slot[unit];
    wait = slot.until - now;
  }
  return wait;
}
