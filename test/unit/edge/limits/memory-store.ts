import type { Reservation, ReservationStore } from "../../../../edge/limits/reservation.ts";

/** Outlives the ledger that writes to it, as the object's storage does. */
export class MemoryStore implements ReservationStore {
  readonly #reservations = new Map<string, Reservation>();
  readonly #months = new Map<string, number>();

  load(now: number): Reservation[] {
    return [...this.#reservations.values()]
      .filter(({ openUntil, until }) => openUntil !== null || until > now)
      .sort((a, b) => a.at - b.at);
  }

  save(reservation: Reservation): void {
    this.#reservations.set(reservation.id, reservation);
  }

  settle(reservation: Reservation, month: string): void {
    this.save(reservation);
    for (const account of reservation.accounts) {
      this.#months.set(`${account} ${month}`, this.monthTokens(account, month) + reservation.tokens);
    }
  }

  monthTokens(account: string, month: string): number {
    return this.#months.get(`${account} ${month}`) ?? 0;
  }

  purge(now: number, month: string): void {
    for (const { id, openUntil, until } of this.#reservations.values()) {
      if (openUntil === null && until <= now) this.#reservations.delete(id);
    }
    for (const name of this.#months.keys()) if (!name.endsWith(month)) this.#months.delete(name);
  }
}
