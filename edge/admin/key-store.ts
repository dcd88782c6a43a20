import { and, asc, eq, isNull, type SQL, sql } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import type { SQLiteUpdateSetSource } from "drizzle-orm/sqlite-core";
import type { Page, PageQuery } from "../../schema/api/admin.ts";
import type { Key, KeyCreate, KeyKind, KeyWithSecret } from "../../schema/api/keys.ts";
import { apiKeys } from "../../schema/database/tables.ts";
import { createKey, describeSecret, type KeyPrefix, pepperIdOf } from "../auth/key.ts";
import { randomBase62 } from "../base62.ts";
import { type Author, type Change, recordChange, recordChangeWhere } from "./audit.ts";
import { type Settings, toColumns, toKey } from "./key-row.ts";
import { toPage } from "./page.ts";

const prefixOf = (kind: KeyKind, mode: "live" | "test"): KeyPrefix => `${kind === "secret" ? "sk" : "pk"}_${mode}`;

/** The keys of one project; nothing here can reach another's. Every change records itself in the audit log. */
export class KeyStore {
  readonly #database: DrizzleD1Database;
  readonly #projectId: string;
  readonly #pepper: string;
  readonly #author: Author;

  constructor(database: DrizzleD1Database, projectId: string, pepper: string, author: Author) {
    this.#database = database;
    this.#projectId = projectId;
    this.#pepper = pepper;
    this.#author = author;
  }

  async create({ kind, mode, ...settings }: KeyCreate): Promise<KeyWithSecret> {
    const secret = createKey(prefixOf(kind, mode));
    const id = `key_${randomBase62(24)}`;
    const values = {
      id,
      projectId: this.#projectId,
      kind,
      ...toColumns(settings),
      ...(await describeSecret(this.#pepper, secret)),
    };
    const changes = { kind, mode, ...settings };
    const [[row]] = await this.#database.batch([
      this.#database.insert(apiKeys).values(values).returning(),
      recordChange(this.#database, this.#author, this.#change("key.create", id, changes)),
    ]);
    if (row === undefined) throw new Error("the database did not return the new key");
    return { ...toKey(row, values.pepperId), secret };
  }

  async find(id: string): Promise<Key | null> {
    const row = await this.#database.select().from(apiKeys).where(this.#at(id)).get();
    return row === undefined ? null : toKey(row, await pepperIdOf(this.#pepper));
  }

  /** A page of all keys, oldest first, revoked ones too. */
  async list({ limit, after }: PageQuery): Promise<Page<Key>> {
    const pepperId = await pepperIdOf(this.#pepper);
    const later = sql`(${apiKeys.createdAt}, ${apiKeys.id}) > (SELECT created_at, id FROM api_keys WHERE id = ${after})`;
    const rows = await this.#database
      .select()
      .from(apiKeys)
      .where(and(eq(apiKeys.projectId, this.#projectId), after === undefined ? undefined : later))
      .orderBy(asc(apiKeys.createdAt), asc(apiKeys.id))
      .limit(limit + 1)
      .all();
    return toPage(
      rows.map((row) => toKey(row, pepperId)),
      limit,
    );
  }

  /** The key with these settings, or `null` where it is no longer at this version or was revoked. */
  update(id: string, version: number, settings: Settings): Promise<Key | null> {
    return this.#write(this.#change("key.update", id, settings), toColumns(settings), this.#at(id, version));
  }

  /**
   * The key with a new secret; the present one goes on working for `overlap` seconds, an earlier one stops. `null` where it is no longer
   * at this version or was revoked.
   *
   * @param now Unix seconds.
   */
  async rotate(id: string, version: number, overlap: number, now: number): Promise<KeyWithSecret | null> {
    const row = await this.#database.select().from(apiKeys).where(this.#at(id)).get();
    if (row === undefined) return null;
    const secret = createKey(prefixOf(row.kind, row.prefix?.endsWith("test") ? "test" : "live"));
    const columns = {
      ...(await describeSecret(this.#pepper, secret)),
      previousHash: overlap === 0 ? null : sql`${apiKeys.hash}`,
      previousExpiresAt: overlap === 0 ? null : now + overlap,
    };
    const change = this.#change("key.rotate", id, { overlap_seconds: overlap });
    const key = await this.#write(change, columns, this.#at(id, version));
    return key === null ? null : { ...key, secret };
  }

  /** The key without any secret that works, whoever else changes it at the time; `null` where it was revoked already. */
  revoke(id: string): Promise<Key | null> {
    const change = this.#change("key.revoke", id, {});
    return this.#write(change, { revokedAt: sql`(unixepoch())` }, this.#at(id));
  }

  #at(id: string, version?: number) {
    const known = and(eq(apiKeys.projectId, this.#projectId), eq(apiKeys.id, id));
    return version === undefined ? known : and(known, eq(apiKeys.version, version));
  }

  #change(action: Change["action"], target: string, changes: Change["changes"]): Change {
    return { action, projectId: this.#projectId, target, changes };
  }

  /** Makes a change where the key is as `where` says and not revoked, and records it in the same transaction. */
  async #write(
    change: Change,
    columns: SQLiteUpdateSetSource<typeof apiKeys>,
    where: SQL | undefined,
  ): Promise<Key | null> {
    const live = and(where, isNull(apiKeys.revokedAt));
    const [, [row]] = await this.#database.batch([
      recordChangeWhere(this.#database, this.#author, change, apiKeys, live),
      this.#database
        .update(apiKeys)
        .set({ ...columns, version: sql`${apiKeys.version} + 1` })
        .where(live)
        .returning(),
    ]);
    return row === undefined ? null : toKey(row, await pepperIdOf(this.#pepper));
  }
}
