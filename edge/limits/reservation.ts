import type { Amount } from "./window.ts";

/** One admitted request, or a block of them that was leased. */
export type Reservation = Amount & {
  id: string;
  /** Accounts that it is charged to. */
  accounts: readonly string[];
  /** When it was admitted, in Unix milliseconds. */
  at: number;
  /** Until when it counts in the rolling minute. */
  until: number;
  /** 1 while it is a generation that runs. */
  running: number;
  /** When it is given up for lost, and its tokens count as used; `null`: it is settled. */
  openUntil: number | null;
};

/** What a reservation has come to. Told twice, it counts once: the numbers are totals. */
export type Settlement = {
  id: string;
  requests: number;
  /** `null`: nobody knows, what was reserved stands. */
  tokens: number | null;
  /** Whether this is the last word. */
  ended: boolean;
};

/** Keeps what must not be lost when the process is. */
export type ReservationStore = {
  /** All that are open, and those that still count in the rolling minute, in the order of their admission. */
  load(now: number): readonly Reservation[];
  /** Adds it, or replaces what was known of it. */
  save(reservation: Reservation): void;
  /** Saves it as settled and counts its tokens in the month, both or neither. */
  settle(reservation: Reservation, month: string): void;
  /** Tokens of an account's settled reservations in a month. */
  monthTokens(account: string, month: string): number;
  /** Forgets what is settled and counts no more. */
  purge(now: number, month: string): void;
};
