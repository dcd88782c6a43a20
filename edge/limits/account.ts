import type { LimitName, Limits, SubjectKind } from "../../schema/api/limits.ts";
import { monthOf, nextMonthOf } from "./month.ts";
import type { Meter } from "./subject.ts";
import { type Amount, addAmount, sumOf, unexpired, untilEmpty, untilFits, type Window } from "./window.ts";

/** When to try again while all generations that may run are running: none of them says when it will end. */
const RUNNING_RETRY_MS = 1_000;

/** The counters of one subject. */
export type Account = {
  window: Window;
  /** Generations that are running. */
  running: number;
  /** Reservations that were not settled yet, running generations among them. */
  open: number;
  month: string;
  /** Tokens reserved and used in this month. */
  monthTokens: number;
};

/** A change of an account's counters; negative where something is given back. */
export type Charge = Amount & {
  /** When the request was admitted: its tokens belong to that month. */
  at: number;
  /** Until when it counts in the rolling minute. */
  until: number;
  running: number;
  open: number;
};

/** What a request asks for. */
export type Demand = Amount & { generations: number };

/**
 * The account as it stands at `now`.
 *
 * @param monthTokens looks up what was used in a month that the account does not know
 */
export function accountAt(account: Account | undefined, now: number, monthTokens: (month: string) => number): Account {
  const month = monthOf(now);
  if (account === undefined) return { window: [], running: 0, open: 0, month, monthTokens: monthTokens(month) };
  return {
    ...account,
    window: unexpired(account.window, now),
    ...(month !== account.month && { month, monthTokens: monthTokens(month) }),
  };
}

export function charge(account: Account, { at, until, requests, tokens, running, open }: Charge): Account {
  return {
    window: addAmount(account.window, until, { requests, tokens }),
    running: account.running + running,
    open: account.open + open,
    month: account.month,
    monthTokens: account.monthTokens + (monthOf(at) === account.month ? tokens : 0),
  };
}

/** Time in milliseconds until each limit allows the demand: 0 where it does now, `null` where it never will. */
export function waitsOf(
  account: Account,
  limits: Limits,
  demand: Demand,
  now: number,
): Record<LimitName, number | null> {
  const { window, running, monthTokens } = account;
  const { requests, tokens, generations } = demand;
  const inMinute = (unit: keyof Amount, limit: number | null, amount: number) =>
    limit === null ? 0 : untilFits(window, unit, { limit, amount, now });
  const untilFree = (limit: number | null, amount: number, used: number, wait: number) => {
    if (limit === null || amount === 0) return 0;
    if (amount > limit) return null;
    return used + amount <= limit ? 0 : wait;
  };
  return {
    requests_per_minute: inMinute("requests", limits.requests_per_minute, requests),
    tokens_per_minute: inMinute("tokens", limits.tokens_per_minute, tokens),
    concurrent_generations: untilFree(limits.concurrent_generations, generations, running, RUNNING_RETRY_MS),
    tokens_per_month: untilFree(limits.tokens_per_month, tokens, monthTokens, nextMonthOf(now) - now),
  };
}

/** How each limit stands. */
export function metersOf(account: Account, limits: Limits, subject: SubjectKind, now: number): Meter[] {
  const { window, running, monthTokens } = account;
  const meter = (name: LimitName, used: number, resetMs: number | null): Meter => {
    const limit = limits[name];
    return { subject, name, limit, used, remaining: limit === null ? null : Math.max(0, limit - used), resetMs };
  };
  return [
    meter("requests_per_minute", sumOf(window, "requests"), untilEmpty(window, "requests", now)),
    meter("tokens_per_minute", sumOf(window, "tokens"), untilEmpty(window, "tokens", now)),
    meter("concurrent_generations", running, running === 0 ? 0 : null),
    meter("tokens_per_month", monthTokens, nextMonthOf(now) - now),
  ];
}
