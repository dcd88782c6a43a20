import { splitEvents } from "./split-events.ts";

/** Rows of SQLite in a Durable Object hold 2 MB; a longer event, or body, takes several. */
const ROW_BYTES = 1_000_000;
/** Bytes read at a time. */
const READ_BYTES = 65_536;

/** What is kept, in numbers. */
export type KeptSize = { bytes: number; events: number; completionTokens: number };

/** The bytes of one answer, in the order in which they were sent, in a Durable Object's SQLite. */
export class KeptEvents {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Has room, and nothing in it. */
  clear(): void {
    this.#storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS pieces (
        position INTEGER PRIMARY KEY, sequence INTEGER, completion_tokens INTEGER, bytes BLOB NOT NULL
      );
      DELETE FROM pieces;
    `);
  }

  /** Keeps the next bytes, all or none: whole events, each under its sequence number where it has one, or of a body. */
  append(chunks: readonly Uint8Array[], isEvents: boolean): void {
    this.#storage.transactionSync(() => {
      for (const chunk of chunks) {
        for (const { bytes, id } of isEvents ? splitEvents(chunk) : [{ bytes: chunk, id: null }]) {
          this.#append(bytes, id?.sequence ?? null, id?.completionTokens ?? null);
        }
      }
    });
  }

  /** Only an event's last piece has its number: an event is read as a whole or not at all. */
  #append(bytes: Uint8Array, sequence: number | null, completionTokens: number | null): void {
    for (let start = 0; start < bytes.length; start += ROW_BYTES) {
      const isLast = start + ROW_BYTES >= bytes.length;
      this.#storage.sql.exec(
        "INSERT INTO pieces (sequence, completion_tokens, bytes) VALUES (?, ?, ?)",
        ...[isLast ? sequence : null, completionTokens, bytes.slice(start, start + ROW_BYTES)],
      );
    }
  }

  /** Where a reader stands that has seen the event with this number and all before it. */
  positionAfter(sequence: number): number {
    const query = "SELECT MAX(position) AS position FROM pieces WHERE sequence <= ?";
    return this.#storage.sql.exec<{ position: number | null }>(query, sequence).one().position ?? 0;
  }

  /** What comes after a position, as much as is read at once; empty where there is nothing yet. */
  readAfter(position: number): { bytes: Uint8Array; position: number } {
    const pieces: Uint8Array[] = [];
    let length = 0;
    let last = position;
    const query = "SELECT position, bytes FROM pieces WHERE position > ? ORDER BY position";
    for (const row of this.#storage.sql.exec<{ position: number; bytes: ArrayBuffer }>(query, position)) {
      pieces.push(new Uint8Array(row.bytes));
      length += row.bytes.byteLength;
      last = row.position;
      if (length >= READ_BYTES) break;
    }
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const piece of pieces) {
      bytes.set(piece, offset);
      offset += piece.length;
    }
    return { bytes, position: last };
  }

  /** The number of the next event. */
  nextSequence(): number {
    const query = "SELECT MAX(sequence) AS sequence FROM pieces";
    return (this.#storage.sql.exec<{ sequence: number | null }>(query).one().sequence ?? -1) + 1;
  }

  size(): KeptSize {
    const query = `SELECT COALESCE(SUM(LENGTH(bytes)), 0) AS bytes, COUNT(sequence) AS events,
      COALESCE(MAX(completion_tokens), 0) AS completionTokens FROM pieces`;
    return this.#storage.sql.exec<KeptSize>(query).one();
  }
}
