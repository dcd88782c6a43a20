import { z } from "zod";
import type { Reservation, ReservationStore } from "./reservation.ts";

type Row = {
  id: string;
  accounts: string;
  at: number;
  until: number;
  requests: number;
  tokens: number;
  running: number;
  open_until: number | null;
};

const accountsSchema = z.array(z.string());

/** The reservations of one project in its Durable Object's SQLite. */
export class SqlStore implements ReservationStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    // `entries` is what earlier versions kept their last minute in.
    storage.sql.exec(`
      DROP TABLE IF EXISTS entries;
      CREATE TABLE IF NOT EXISTS reservations (
        id TEXT PRIMARY KEY, accounts TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, requests INTEGER NOT NULL,
        tokens INTEGER NOT NULL, running INTEGER NOT NULL, open_until INTEGER
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS months (
        account TEXT NOT NULL, month TEXT NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (account, month)
      ) WITHOUT ROWID;
    `);
  }

  load(now: number): Reservation[] {
    return this.#storage.sql
      .exec<Row>("SELECT * FROM reservations WHERE open_until IS NOT NULL OR until > ? ORDER BY at", now)
      .toArray()
      .map(({ accounts, open_until, ...row }) => ({
        ...row,
        accounts: accountsSchema.parse(JSON.parse(accounts)),
        openUntil: open_until,
      }));
  }

  save({ id, accounts, at, until, requests, tokens, running, openUntil }: Reservation): void {
    this.#storage.sql.exec(
      `INSERT OR REPLACE INTO reservations (id, accounts, at, until, requests, tokens, running, open_until)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[id, JSON.stringify(accounts), at, until, requests, tokens, running, openUntil],
    );
  }

  settle(reservation: Reservation, month: string): void {
    this.#storage.transactionSync(() => {
      this.save(reservation);
      if (reservation.tokens === 0) return;
      for (const account of reservation.accounts) {
        this.#storage.sql.exec(
          `INSERT INTO months (account, month, tokens) VALUES (?, ?, ?)
           ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens`,
          ...[account, month, reservation.tokens],
        );
      }
    });
  }

  monthTokens(account: string, month: string): number {
    const query = "SELECT tokens FROM months WHERE account = ? AND month = ?";
    return this.#storage.sql.exec<{ tokens: number }>(query, account, month).toArray()[0]?.tokens ?? 0;
  }

  purge(now: number, month: string): void {
    this.#storage.sql.exec("DELETE FROM reservations WHERE open_until IS NULL AND until <= ?", now);
    this.#storage.sql.exec("DELETE FROM months WHERE month < ?", month);
  }
}
