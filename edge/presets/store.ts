import { and, asc, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { Preset, PresetFields } from "../../schema/api/presets.ts";
import { presets } from "../../schema/database/tables.ts";
import { AttuneError } from "../../schema/wire/errors.ts";

type Row = typeof presets.$inferSelect;

function toPreset(row: Row): Preset {
  return {
    object: "preset",
    slug: row.slug,
    version: row.version,
    persona: row.persona,
    attributes: row.attributes,
    bounds: row.bounds,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
  };
}

/** @param param the field that named it */
export const presetNotFound = (slug: string, param: string) =>
  new AttuneError("preset_not_found", `There is no preset ${slug} in this project. GET /v1/presets lists them.`, {
    param,
  });

/** The presets of one project; nothing here can reach another's. */
export class PresetStore {
  readonly #database;
  readonly #projectId: string;

  constructor(database: D1Database, projectId: string) {
    this.#database = drizzle(database);
    this.#projectId = projectId;
  }

  #at(slug: string) {
    return and(eq(presets.projectId, this.#projectId), eq(presets.slug, slug));
  }

  /** The new preset, or `null` where the slug is taken. */
  async create(slug: string, fields: PresetFields): Promise<Preset | null> {
    const row = await this.#database
      .insert(presets)
      .values({ projectId: this.#projectId, slug, ...fields })
      .onConflictDoNothing()
      .returning()
      .get();
    return row === undefined ? null : toPreset(row);
  }

  /** All presets, by slug. */
  async list(): Promise<Preset[]> {
    const rows = await this.#database
      .select()
      .from(presets)
      .where(eq(presets.projectId, this.#projectId))
      .orderBy(asc(presets.slug))
      .all();
    return rows.map(toPreset);
  }

  async find(slug: string): Promise<Preset | null> {
    const row = await this.#database.select().from(presets).where(this.#at(slug)).get();
    return row === undefined ? null : toPreset(row);
  }

  /** The preset with all its fields replaced and its version counted up, in one statement. */
  async update(slug: string, fields: PresetFields): Promise<Preset | null> {
    const row = await this.#database
      .update(presets)
      .set({ ...fields, version: sql`${presets.version} + 1`, updatedAt: sql`(unixepoch())` })
      .where(this.#at(slug))
      .returning()
      .get();
    return row === undefined ? null : toPreset(row);
  }

  /** Whether there was one to delete. */
  async delete(slug: string): Promise<boolean> {
    const row = await this.#database.delete(presets).where(this.#at(slug)).returning({ slug: presets.slug }).get();
    return row !== undefined;
  }
}
