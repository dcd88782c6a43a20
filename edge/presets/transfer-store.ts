import { and, eq, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { presets, presetVersions } from "../../schema/database/tables.ts";
import { forgetRecent } from "./recent.ts";
import { REVIVED, type StoredPreset, selectPresets, toJson, toStored } from "./rows.ts";
import type { PlannedPreset } from "./transfer.ts";

/** Every preset of a project at one moment. `revision` grows with every change of any of them. */
export type Snapshot = { presets: StoredPreset[]; revision: number };

const revisionOf = (projectId: string) =>
  sql<number>`(SELECT coalesce(sum(revision), 0) FROM ${presets} WHERE project_id = ${projectId})`;

export async function takeSnapshot(database: D1Database, projectId: string): Promise<Snapshot> {
  const session = drizzle(database);
  const live = and(eq(presets.projectId, projectId), isNull(presets.deletedAt));
  const [rows, [total]] = await session.batch([
    selectPresets(session, live),
    session
      .select({ revision: sql<number>`coalesce(sum(${presets.revision}), 0)` })
      .from(presets)
      .where(eq(presets.projectId, projectId)),
  ]);
  return { presets: rows.map(toStored), revision: total?.revision ?? 0 };
}

/**
 * Writes all of what was planned on a snapshot, in one transaction; or nothing, where a preset of the project has been changed since.
 *
 * @returns whether it was written
 */
export async function writeImport(
  database: D1Database,
  projectId: string,
  planned: readonly PlannedPreset[],
  { revision, by }: { revision: number; by: string },
): Promise<boolean> {
  const changed = planned.filter(({ outcome }) => outcome.action !== "unchanged");
  if (changed.length === 0) return true;
  const rows = JSON.stringify(
    changed.map(({ outcome: { slug }, write: { publish, draft } }) => ({
      slug,
      publish: publish === null ? null : toJson(publish),
      draft: toJson(draft),
    })),
  );
  const slug = sql`value ->> 'slug'`;
  const publish = sql`value ->> 'publish'`;
  const isAsSeen = sql`${revisionOf(projectId)} = ${revision}`;
  const session = drizzle(database);
  const [, written] = await session.batch([
    // First: it leaves the table alone that tells whether anything has changed.
    session.insert(presetVersions).select(
      sql`SELECT ${projectId}, ${slug}, coalesce(known.version, 0) + 1, ${publish}, 'Imported.', ${by}, unixepoch()
        FROM json_each(${rows}) LEFT JOIN ${presets} AS known ON known.project_id = ${projectId} AND known.slug = ${slug}
        WHERE ${publish} IS NOT NULL AND ${isAsSeen}`,
    ),
    session
      .insert(presets)
      .select(
        sql`SELECT ${projectId}, ${slug}, ${publish} IS NOT NULL, 1, value ->> 'draft', '{}', unixepoch(), unixepoch(), NULL
          FROM json_each(${rows}) WHERE ${isAsSeen}`,
      )
      .onConflictDoUpdate(REVIVED)
      .returning({ slug: presets.slug }),
  ]);
  for (const { outcome } of changed) forgetRecent(projectId, outcome.slug);
  return written.length === changed.length;
}
