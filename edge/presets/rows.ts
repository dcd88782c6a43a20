import { and, asc, eq, inArray, isNull, type SQL, sql } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import type { Preset, PresetDraft, PresetFields } from "../../schema/api/presets.ts";
import { presets, presetVersions } from "../../schema/database/tables.ts";
import type { Condition } from "./condition.ts";
import { canonical } from "./content.ts";

/** A preset, its draft, and the revision that they were read at. */
export type StoredPreset = { preset: Preset; draft: PresetDraft; revision: number };

/** A live preset of a project, where it is as the condition says. */
export const presetAt = (projectId: string, slug: string, { revisions }: Condition = { revisions: null }) =>
  and(
    eq(presets.projectId, projectId),
    eq(presets.slug, slug),
    isNull(presets.deletedAt),
    revisions === null ? undefined : inArray(presets.revision, revisions),
  );

/** What a version of the preset at hand says; `NULL` where there is no such version. */
export const contentOf = (version: SQL | typeof presets.version) =>
  sql<string | null>`(SELECT content FROM preset_versions AS published WHERE published.project_id = ${presets.projectId}
    AND published.slug = ${presets.slug} AND published.version = ${version})`;

/** What the latest version says; `NULL` before the first. */
export const LATEST = contentOf(presets.version);

/** As the database keeps it. */
export const toJson = (content: PresetFields) => JSON.stringify(canonical(content));

/** Presets beside their latest versions, by slug. No two columns have the same name, for rows of a batch are told apart by names alone. */
export const selectPresets = (database: DrizzleD1Database, where: SQL | undefined) =>
  database
    .select({
      slug: presets.slug,
      revision: presets.revision,
      draft: presets.draft,
      aliases: presets.aliases,
      createdAt: presets.createdAt,
      updatedAt: presets.updatedAt,
      version: presetVersions.version,
      content: presetVersions.content,
      note: presetVersions.note,
    })
    .from(presets)
    .leftJoin(
      presetVersions,
      and(
        eq(presetVersions.projectId, presets.projectId),
        eq(presetVersions.slug, presets.slug),
        eq(presetVersions.version, presets.version),
      ),
    )
    .where(where)
    .orderBy(asc(presets.slug));

type Row = Awaited<ReturnType<typeof selectPresets>>[number];

export function toStored({
  slug,
  revision,
  draft,
  aliases,
  createdAt,
  updatedAt,
  version,
  content,
  note,
}: Row): StoredPreset {
  const unpublished = JSON.stringify(draft) !== JSON.stringify(content);
  return {
    revision,
    preset: {
      object: "preset",
      slug,
      version,
      ...(content ?? draft),
      note,
      aliases,
      unpublished_changes: unpublished,
      created_at: createdAt,
      updated_at: updatedAt,
    },
    draft: { object: "preset_draft", slug, ...draft, unpublished_changes: unpublished, updated_at: updatedAt },
  };
}

/** Counts a change of a preset. */
export const CHANGED = { revision: sql`${presets.revision} + 1`, updatedAt: sql`(unixepoch())` };

/**
 * What becomes of the row where an inserted preset has had one before: of one that was deleted it goes on counting, of a live one that is
 * imported too.
 */
export const REVIVED = {
  target: [presets.projectId, presets.slug],
  set: {
    version: sql`version + excluded.version`,
    revision: sql`revision + 1`,
    draft: sql`excluded.draft`,
    createdAt: sql`iif(deleted_at IS NULL, created_at, unixepoch())`,
    updatedAt: sql`unixepoch()`,
    deletedAt: sql`NULL`,
  },
};
