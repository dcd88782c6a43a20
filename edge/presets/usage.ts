import { and, desc, eq, gte, max, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { PRESET_USAGE_DAYS, type PresetUsage } from "../../schema/api/presets.ts";
import { generations } from "../../schema/database/tables.ts";

const DAY_SECONDS = 86_400;

/**
 * How often each version of a preset was used of late, the latest version first and the draft last.
 *
 * @param now Unix seconds
 */
export async function usageOf(
  database: D1Database,
  projectId: string,
  slug: string,
  now: number,
): Promise<PresetUsage> {
  const today = now - (now % DAY_SECONDS);
  const versions = await drizzle(database)
    .select({
      version: generations.presetVersion,
      generations: sql<number>`count(*)`,
      generations_today: sql<number>`count(*) FILTER (WHERE ${generations.createdAt} >= ${today})`,
      last_used_at: max(generations.createdAt),
    })
    .from(generations)
    .where(
      and(
        eq(generations.projectId, projectId),
        gte(generations.createdAt, today - (PRESET_USAGE_DAYS - 1) * DAY_SECONDS),
        eq(generations.presetSlug, slug),
      ),
    )
    .groupBy(generations.presetVersion)
    .orderBy(desc(generations.presetVersion))
    .all();
  return { object: "preset_usage", slug, days: PRESET_USAGE_DAYS, versions };
}
