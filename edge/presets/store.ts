import { and, eq, isNull, type SQL, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import type { SQLiteUpdateSetSource } from "drizzle-orm/sqlite-core";
import { MAX_PRESETS } from "../../schema/api/preset-transfer.ts";
import type { PresetFields } from "../../schema/api/presets.ts";
import { presets, presetVersions } from "../../schema/database/tables.ts";
import type { Condition } from "./condition.ts";
import { forgetRecent } from "./recent.ts";
import {
  CHANGED,
  contentOf,
  LATEST,
  presetAt,
  REVIVED,
  type StoredPreset,
  selectPresets,
  toJson,
  toStored,
} from "./rows.ts";

/** Most names that the versions of one preset are given. */
export const MAX_ALIASES = 20;

/** Who publishes a version, and why. */
export type Publication = { note: string | null; by: string };

/**
 * The presets of one project; nothing here can reach another's. A change is made only where the preset is as its condition says, which
 * the database decides in the transaction that makes it: of two that saw the same revision, one gets `null`.
 */
export class PresetStore {
  readonly #database: DrizzleD1Database;
  readonly #projectId: string;

  constructor(database: D1Database, projectId: string) {
    this.#database = drizzle(database);
    this.#projectId = projectId;
  }

  /** All presets, by slug. */
  async list(): Promise<StoredPreset[]> {
    const live = and(eq(presets.projectId, this.#projectId), isNull(presets.deletedAt));
    return (await selectPresets(this.#database, live).all()).map(toStored);
  }

  async find(slug: string): Promise<StoredPreset | null> {
    const row = await selectPresets(this.#database, presetAt(this.#projectId, slug)).get();
    return row === undefined ? null : toStored(row);
  }

  /**
   * The new preset, with its content as its draft and, unless `publication` is `null`, as a version; `null` where the slug is taken or
   * the project has as many presets as it may have. Versions of a slug that was deleted go on counting where they stopped.
   */
  async create(slug: string, fields: PresetFields, publication: Publication | null): Promise<StoredPreset | null> {
    const content = toJson(fields);
    const own = sql`FROM ${presets} WHERE project_id = ${this.#projectId}`;
    const free = sql`NOT EXISTS (SELECT 1 ${own} AND slug = ${slug} AND deleted_at IS NULL)
      AND (SELECT count(*) ${own} AND deleted_at IS NULL) < ${MAX_PRESETS}`;
    const next = sql`coalesce((SELECT version ${own} AND slug = ${slug}), 0) + 1`;
    const first = publication === null ? 0 : 1;
    const [, created, [row]] = await this.#database.batch([
      this.#database.insert(presetVersions).select(
        sql`SELECT ${this.#projectId}, ${slug}, ${next}, ${content}, ${publication?.note ?? null}, ${publication?.by ?? null},
          unixepoch() WHERE ${first} = 1 AND ${free}`,
      ),
      this.#database
        .insert(presets)
        .select(
          sql`SELECT ${this.#projectId}, ${slug}, ${first}, 1, ${content}, '{}', unixepoch(), unixepoch(), NULL WHERE ${free}`,
        )
        .onConflictDoUpdate(REVIVED)
        .returning({ slug: presets.slug }),
      selectPresets(this.#database, presetAt(this.#projectId, slug)),
    ]);
    forgetRecent(this.#projectId, slug);
    return created.length === 0 || row === undefined ? null : toStored(row);
  }

  /** The draft with these fields in place of all it had. */
  writeDraft(slug: string, condition: Condition, fields: PresetFields): Promise<StoredPreset | null> {
    return this.#update(slug, this.#at(slug, condition), { draft: sql`${toJson(fields)}` });
  }

  /** The draft as the latest version is; `null` too where there is none. */
  resetDraft(slug: string, condition: Condition): Promise<StoredPreset | null> {
    return this.#update(slug, and(this.#at(slug, condition), sql`${LATEST} IS NOT NULL`), { draft: LATEST });
  }

  /** The draft as a new version; `null` too where the latest one says the same. */
  publishDraft(slug: string, condition: Condition, publication: Publication): Promise<StoredPreset | null> {
    const hasChanges = sql`${presets.draft} IS NOT ${LATEST}`;
    return this.#publish(slug, and(this.#at(slug, condition), hasChanges), sql`${presets.draft}`, publication);
  }

  /** A new version with these fields. */
  publish(slug: string, condition: Condition, fields: PresetFields, publication: Publication) {
    return this.#publish(slug, this.#at(slug, condition), sql`${toJson(fields)}`, publication);
  }

  /** A new version that says what an older one said; `null` too where there is no such version, or where the latest one says the same. */
  republish(slug: string, condition: Condition, version: number, publication: Publication) {
    const content = contentOf(sql`${version}`);
    const hasChanges = sql`${content} IS NOT NULL AND ${content} IS NOT ${LATEST}`;
    return this.#publish(slug, and(this.#at(slug, condition), hasChanges), content, publication);
  }

  /** The version under this name, whatever had it before; `null` too where there is no such version, or where there are too many names. */
  setAlias(slug: string, condition: Condition, alias: string, version: number): Promise<StoredPreset | null> {
    const path = `$."${alias}"`;
    const isThere = sql`${contentOf(sql`${version}`)} IS NOT NULL`;
    const hasRoom = sql`(SELECT count(*) FROM json_each(json_remove(${presets.aliases}, ${path}))) < ${MAX_ALIASES}`;
    return this.#update(slug, and(this.#at(slug, condition), isThere, hasRoom), {
      aliases: sql`json_set(${presets.aliases}, ${path}, ${version})`,
    });
  }

  /** The preset without this name; `null` too where no version has it. */
  deleteAlias(slug: string, condition: Condition, alias: string): Promise<StoredPreset | null> {
    const path = `$."${alias}"`;
    const isThere = sql`json_type(${presets.aliases}, ${path}) IS NOT NULL`;
    return this.#update(slug, and(this.#at(slug, condition), isThere), {
      aliases: sql`json_remove(${presets.aliases}, ${path})`,
    });
  }

  /** Deletes the preset with all its versions; whether it did. What stays is that there was one, and how far it had counted. */
  async delete(slug: string, condition: Condition): Promise<boolean> {
    const where = this.#at(slug, condition);
    const ownVersions = and(eq(presetVersions.projectId, this.#projectId), eq(presetVersions.slug, slug));
    const [, deleted] = await this.#database.batch([
      this.#database
        .delete(presetVersions)
        .where(and(ownVersions, sql`EXISTS (SELECT 1 FROM ${presets} WHERE ${where})`)),
      this.#database
        .update(presets)
        .set({ ...CHANGED, draft: sql`'{}'`, aliases: {}, deletedAt: sql`(unixepoch())` })
        .where(where)
        .returning({ slug: presets.slug }),
    ]);
    forgetRecent(this.#projectId, slug);
    return deleted.length > 0;
  }

  #at(slug: string, condition: Condition) {
    return presetAt(this.#projectId, slug, condition);
  }

  async #update(slug: string, where: SQL | undefined, columns: SQLiteUpdateSetSource<typeof presets>) {
    const [updated, [row]] = await this.#database.batch([
      this.#database
        .update(presets)
        .set({ ...CHANGED, ...columns })
        .where(where)
        .returning({ slug: presets.slug }),
      selectPresets(this.#database, presetAt(this.#projectId, slug)),
    ]);
    forgetRecent(this.#projectId, slug);
    return updated.length === 0 || row === undefined ? null : toStored(row);
  }

  /** A draft without changes of its own goes along with what is published; one with changes keeps them. */
  async #publish(slug: string, where: SQL | undefined, content: SQL, { note, by }: Publication) {
    const [, updated, [row]] = await this.#database.batch([
      // First: the update below makes `where` false, and another version the latest.
      this.#database.insert(presetVersions).select(
        sql`SELECT ${presets.projectId}, ${presets.slug}, ${presets.version} + 1, ${content}, ${note}, ${by}, unixepoch()
          FROM ${presets} WHERE ${where}`,
      ),
      this.#database
        .update(presets)
        .set({
          ...CHANGED,
          version: sql`${presets.version} + 1`,
          draft: sql`CASE WHEN ${presets.draft} IS ${LATEST} THEN ${content} ELSE ${presets.draft} END`,
        })
        .where(where)
        .returning({ slug: presets.slug }),
      selectPresets(this.#database, presetAt(this.#projectId, slug)),
    ]);
    forgetRecent(this.#projectId, slug);
    return updated.length === 0 || row === undefined ? null : toStored(row);
  }
}
