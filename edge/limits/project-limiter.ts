import { DurableObject } from "cloudflare:workers";
import { type Decision, decide, type Entry, type Limits, type Meters, settle, unexpired, WINDOW_MS } from "./window.ts";

/** Names one admitted request, for settling it. */
export type Reservation = { keyId: string; id: number };

export type ReserveRequest = { keyId: string; limits: Limits; tokens: number };
export type ReserveAnswer = { meters: Meters } & (
  | { allowed: true; reservation: Reservation }
  | Exclude<Decision, { allowed: true }>
);

/**
 * The limits of one project: a rolling window for each of its keys. Deciding and recording happen without an `await` in between, so
 * no two requests are admitted on the same remainder. The windows are kept in SQLite, so eviction forgets nothing.
 */
export class ProjectLimiter extends DurableObject {
  readonly #sql: SqlStorage;
  readonly #windows = new Map<string, readonly Entry[]>();

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    // AUTOINCREMENT never reuses an id, so a late settle cannot touch another request's entry.
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key_id TEXT NOT NULL, at INTEGER NOT NULL, tokens INTEGER NOT NULL
      );
      CREATE INDEX IF NOT EXISTS entries_at ON entries (at);
    `);
    const rows = this.#sql.exec<{ id: number; key_id: string; at: number; tokens: number }>(
      "SELECT id, key_id, at, tokens FROM entries WHERE at > ? ORDER BY at, id",
      Date.now() - WINDOW_MS,
    );
    for (const { id, key_id, at, tokens } of rows) {
      this.#windows.set(key_id, [...(this.#windows.get(key_id) ?? []), { id, at, tokens }]);
    }
  }

  /** Admits one request that may use up to `tokens`, or says when to come again. */
  reserve({ keyId, limits, tokens }: ReserveRequest): ReserveAnswer {
    const now = Date.now();
    const window = this.#dropExpired(keyId, now);
    const decision = decide(window, limits, tokens, now);
    if (!decision.allowed) return decision;
    const { at, meters } = decision;
    const { id } = this.#sql
      .exec<{ id: number }>("INSERT INTO entries (key_id, at, tokens) VALUES (?, ?, ?) RETURNING id", keyId, at, tokens)
      .one();
    this.#windows.set(keyId, [...window, { id, at, tokens }]);
    return { allowed: true, meters, reservation: { keyId, id } };
  }

  /** Replaces what a request reserved by what it used, at the time it was admitted. */
  settle({ keyId, id }: Reservation, tokens: number): void {
    const window = this.#windows.get(keyId);
    if (window === undefined) return;
    this.#windows.set(keyId, settle(window, id, tokens));
    this.#sql.exec("UPDATE entries SET tokens = ? WHERE id = ?", tokens, id);
  }

  #dropExpired(keyId: string, now: number): readonly Entry[] {
    const window = this.#windows.get(keyId) ?? [];
    const current = unexpired(window, now);
    if (current.length < window.length) this.#sql.exec("DELETE FROM entries WHERE at <= ?", now - WINDOW_MS);
    if (current.length === 0) this.#windows.delete(keyId);
    else this.#windows.set(keyId, current);
    return current;
  }
}
