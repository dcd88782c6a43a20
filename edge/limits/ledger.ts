import { type Account, accountAt, charge, type Demand, metersOf, waitsOf } from "./account.ts";
import { decide, type Refusal, type Standing } from "./decide.ts";
import { LEASE_COUNTS_MS, sizeLease } from "./lease.ts";
import { monthOf } from "./month.ts";
import type { Reservation, ReservationStore, Settlement } from "./reservation.ts";
import type { Meter, Subject } from "./subject.ts";
import { type Amount, WINDOW_MS } from "./window.ts";

/** An open reservation is given up for lost after this long; no generation takes more than ten minutes. */
const OPEN_MS = 900_000;
const PURGE_EVERY_MS = 10_000;

export type ReserveRequest = {
  /** Chosen by the caller, so that asking again after a lost answer reserves nothing twice. */
  id: string;
  subjects: readonly Subject[];
  /** The most that it may use; with any, it is a generation. */
  tokens: number;
  /** Is never answered with a lease. */
  alone?: boolean;
};
export type ReserveAnswer = { meters: Meter[] } & (
  | { allowed: true; lease: Amount | null }
  | { allowed: false; refusal: Refusal }
);

/** What would be decided about a request; `waits` has an entry for each subject, see `waitsOf`. */
export type Check = { refusal: Refusal | null; meters: Meter[]; waits: ReturnType<typeof waitsOf>[] };

const demandOf = (tokens: number): Demand => ({ requests: 1, tokens, generations: tokens > 0 ? 1 : 0 });

/**
 * The counters of a project: decides, for all subjects of a request together, and books. Everything is synchronous, so no two
 * requests are admitted on the same remainder. A clock that was set back stands still.
 */
export class Ledger {
  readonly #store: ReservationStore;
  readonly #accounts = new Map<string, Account>();
  /** Open reservations in the order of their admission, which is also the order in which they are given up. */
  readonly #open = new Map<string, Reservation>();
  #latest: number;
  #purgedAt: number;

  /** @param now Unix milliseconds, as everywhere here. */
  constructor(store: ReservationStore, now: number) {
    this.#store = store;
    const known = store.load(now);
    this.#latest = Math.max(now, known.at(-1)?.at ?? 0);
    this.#purgedAt = this.#latest;
    for (const reservation of known) {
      const isOpen = reservation.openUntil !== null;
      if (isOpen) this.#open.set(reservation.id, reservation);
      // The store has counted the month's tokens of those that are settled.
      const at = isOpen ? reservation.at : 0;
      this.#charge(reservation.accounts, { ...reservation, at, open: isOpen ? 1 : 0 });
    }
  }

  /** Admits a request within every limit of every subject, or tells which one refuses it and charges nobody. */
  reserve({ id, subjects, tokens, alone = false }: ReserveRequest, clock: number): ReserveAnswer {
    const now = this.#advance(clock);
    if (this.#open.has(id)) return { allowed: true, lease: null, meters: this.#metersOf(subjects) };
    const standings = this.#standingsOf(subjects);
    const demand = demandOf(tokens);
    const refusal = decide(standings, demand, now);
    if (refusal !== null) return { allowed: false, refusal, meters: this.#metersOf(subjects) };
    const lease = alone ? null : sizeLease(standings, demand, now);
    const reservation: Reservation = {
      id,
      accounts: subjects.map(({ account }) => account),
      at: now,
      ...(lease === null
        ? { until: now + WINDOW_MS, requests: 1, tokens, running: demand.generations }
        : { until: now + LEASE_COUNTS_MS, ...lease, running: 0 }),
      openUntil: lease === null && tokens === 0 ? null : now + OPEN_MS,
    };
    const open = reservation.openUntil === null ? 0 : 1;
    this.#store.save(reservation);
    if (open === 1) this.#open.set(id, reservation);
    this.#charge(reservation.accounts, { ...reservation, open });
    return { allowed: true, lease, meters: this.#metersOf(subjects) };
  }

  /** Replaces what was reserved by what was used, at the time it was admitted. Does nothing where that was done before. */
  settle({ id, requests, tokens, ended }: Settlement, clock: number): void {
    this.#advance(clock);
    const before = this.#open.get(id);
    if (before === undefined) return;
    const after: Reservation = { ...before, requests, tokens: tokens ?? before.tokens };
    if (ended) this.#close(before, { ...after, running: 0, openUntil: null });
    else {
      this.#store.save(after);
      this.#open.set(id, after);
      this.#book(before, after);
    }
  }

  /** What would be decided about a request; changes nothing. */
  check(subjects: readonly Subject[], tokens: number, clock: number): Check {
    const now = this.#advance(clock);
    const standings = this.#standingsOf(subjects);
    const demand = demandOf(tokens);
    return {
      refusal: decide(standings, demand, now),
      meters: this.#metersOf(subjects),
      waits: standings.map(({ subject, account }) => waitsOf(account, subject.limits, demand, now)),
    };
  }

  #close(before: Reservation, after: Reservation): void {
    this.#store.settle(after, monthOf(after.at));
    this.#open.delete(after.id);
    this.#book(before, after);
  }

  #book(before: Reservation, after: Reservation): void {
    this.#charge(after.accounts, {
      at: after.at,
      until: after.until,
      requests: after.requests - before.requests,
      tokens: after.tokens - before.tokens,
      running: after.running - before.running,
      open: after.openUntil === null ? -1 : 0,
    });
  }

  #charge(accounts: readonly string[], change: Parameters<typeof charge>[1]): void {
    for (const name of accounts) this.#accounts.set(name, charge(this.#accountOf(name), change));
  }

  #accountOf(name: string): Account {
    const lookUp = (month: string) => this.#store.monthTokens(name, month);
    return accountAt(this.#accounts.get(name), this.#latest, lookUp);
  }

  #standingsOf(subjects: readonly Subject[]): Standing[] {
    return subjects.map((subject) => ({ subject, account: this.#accountOf(subject.account) }));
  }

  #metersOf(subjects: readonly Subject[]): Meter[] {
    return this.#standingsOf(subjects).flatMap(({ subject, account }) =>
      metersOf(account, subject.limits, subject.kind, this.#latest),
    );
  }

  #advance(clock: number): number {
    const now = Math.max(clock, this.#latest);
    this.#latest = now;
    for (const lost of this.#open.values()) {
      if (lost.openUntil === null || lost.openUntil > now) break;
      this.#close(lost, { ...lost, running: 0, openUntil: null });
    }
    if (now - this.#purgedAt >= PURGE_EVERY_MS) this.#purge(now);
    return now;
  }

  /** Forgets accounts that nothing counts on; the store knows their month. */
  #purge(now: number): void {
    this.#purgedAt = now;
    this.#store.purge(now, monthOf(now));
    for (const [name, account] of this.#accounts) {
      const idle = account.open === 0 && accountAt(account, now, () => 0).window.length === 0;
      if (idle) this.#accounts.delete(name);
    }
  }
}
