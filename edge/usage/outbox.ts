import type { UsageRecord } from "./usage-record.ts";
import { writeRecords } from "./write-records.ts";

/** How long records are gathered before they are written together. */
const GATHER_MS = 1_000;
/** Written at a time: about 300 kB. */
const BATCH = 500;
/** How long to wait after a failure, at most; it doubles from GATHER_MS on. */
const LONGEST_WAIT_MS = 60_000;

type Row = { seq: number; record: string };

/**
 * Records of one project on their way into the database, in the SQLite of its Durable Object: they survive restarts, and wait for as long
 * as the database cannot be written. Delivered at least once; the ledger takes each once.
 */
export class Outbox {
  readonly #storage: DurableObjectStorage;
  readonly #database: D1Database;
  /** Whether an alarm is known to be set. After a restart it is not known, and set anew. */
  #isAlarmSet = false;
  #failures = 0;

  constructor(storage: DurableObjectStorage, database: D1Database) {
    this.#storage = storage;
    this.#database = database;
    storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
    `);
  }

  /**
   * Keeps them, before the caller hears of it, and has them written soon.
   *
   * @param now Unix milliseconds.
   */
  add(records: readonly UsageRecord[], now: number): void {
    if (records.length === 0) return;
    this.#storage.sql.exec(
      "INSERT OR IGNORE INTO outbox (id, record) SELECT value->>'$.id', value FROM json_each(?)",
      JSON.stringify(records),
    );
    if (!this.#isAlarmSet) this.#flushAt(now + GATHER_MS);
  }

  /** Writes what waits, in batches; what cannot be written waits for the next alarm. */
  async flush(now: () => number): Promise<void> {
    this.#isAlarmSet = false;
    try {
      while (await this.#writeBatch(now())) this.#failures = 0;
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      const wait = Math.min(LONGEST_WAIT_MS, GATHER_MS * 2 ** this.#failures);
      this.#flushAt(now() + wait);
      console.error(JSON.stringify({ event: "ledger_unreachable", failures: this.#failures, reason: String(error) }));
    }
  }

  /** @returns whether there was anything to write. */
  async #writeBatch(now: number): Promise<boolean> {
    const query = "SELECT seq, record FROM outbox ORDER BY seq LIMIT ?";
    const rows = this.#storage.sql.exec<Row>(query, BATCH).toArray();
    const last = rows.at(-1);
    if (last === undefined) return false;
    await writeRecords(
      this.#database,
      rows.map(({ record }) => record),
      now,
    );
    this.#storage.sql.exec("DELETE FROM outbox WHERE seq <= ?", last.seq);
    return true;
  }

  #flushAt(time: number): void {
    this.#isAlarmSet = true;
    // Held back with the answer until it is on disk, together with the rows.
    void this.#storage.setAlarm(time);
  }
}
