import { and, desc, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { Page } from "../../schema/api/admin.ts";
import { usageOf } from "../../schema/api/chat.ts";
import type { GenerationsQuery, UsageEntry, UsageGroup, UsageGrouping, UsageQuery } from "../../schema/api/usage.ts";
import { generations } from "../../schema/database/tables.ts";
import { toPage } from "../admin/page.ts";
import type { UsageRecord } from "./usage-record.ts";

const DAY_SECONDS = 86_400;

const secondsOf = (day: string) => Date.parse(day) / 1000;

/** The group of a row, as text. */
const GROUPS: Record<UsageGrouping, SQL<string>> = {
  day: sql`date(${generations.createdAt}, 'unixepoch')`,
  key: sql`${generations.keyId}`,
  preset: sql`coalesce(${generations.presetSlug}, '')`,
  model: sql`${generations.model}`,
  end_user: sql`coalesce(${generations.endUser}, '')`,
};
const ALL = sql<string>`'all'`;

const countOf = (state: UsageRecord["state"]) => sql<number>`count(*) FILTER (WHERE ${eq(generations.state, state)})`;

/** The rows of a project's sums: one index range of its days. */
export function selectUsage(database: D1Database, projectId: string, query: UsageQuery) {
  const { from, to, group_by, limit, after } = query;
  const group = group_by === undefined ? ALL : GROUPS[group_by];
  return drizzle(database)
    .select({
      id: group,
      completed: countOf("completed"),
      cancelled: countOf("cancelled"),
      failed: countOf("failed"),
      promptTokens: sql<number>`sum(${generations.promptTokens})`,
      completionTokens: sql<number>`sum(${generations.completionTokens})`,
      unknown: sql<number>`count(*) FILTER (WHERE NOT ${generations.usageKnown})`,
    })
    .from(generations)
    .where(
      and(
        eq(generations.projectId, projectId),
        gte(generations.createdAt, secondsOf(from)),
        lt(generations.createdAt, secondsOf(to) + DAY_SECONDS),
        after === undefined ? undefined : sql`${group} > ${after}`,
      ),
    )
    .groupBy(group)
    .orderBy(group)
    .limit(limit + 1);
}

/** A page of what a project used, in the order of the groups' ids. */
export async function sumUsage(database: D1Database, projectId: string, query: UsageQuery): Promise<Page<UsageGroup>> {
  const rows = await selectUsage(database, projectId, query).all();
  const groups = rows.map(
    ({ id, completed, cancelled, failed, promptTokens, completionTokens, unknown }): UsageGroup => ({
      object: "usage",
      id,
      generations: { completed, cancelled, failed },
      usage: usageOf(promptTokens, completionTokens),
      usage_unknown: unknown,
    }),
  );
  return toPage(groups, query.limit);
}

const toEntry = (row: UsageRecord): UsageEntry => ({
  object: "usage_entry",
  id: row.id,
  created_at: row.createdAt,
  key: row.keyId,
  end_user: row.endUser,
  model: row.model,
  preset: row.presetSlug === null ? null : { slug: row.presetSlug, version: row.presetVersion },
  dialect: row.dialect,
  stream: row.streamed,
  choices: row.choices,
  attributes: row.attributes,
  state: row.state,
  error: row.error,
  usage: usageOf(row.promptTokens, row.completionTokens),
  usage_known: row.usageKnown,
  first_byte_ms: row.firstByteMs,
  duration_ms: row.durationMs,
  request_id: row.requestId,
});

/** A page of a project's generations, newest first; after one that is not known there are none. */
export function selectGenerations(database: D1Database, projectId: string, { limit, after }: GenerationsQuery) {
  const earlier = sql`(${generations.createdAt}, ${generations.id}) < (
    SELECT created_at, id FROM generations AS last WHERE last.id = ${after} AND last.project_id = ${projectId})`;
  return drizzle(database)
    .select()
    .from(generations)
    .where(and(eq(generations.projectId, projectId), after === undefined ? undefined : earlier))
    .orderBy(desc(generations.createdAt), desc(generations.id))
    .limit(limit + 1);
}

export async function listGenerations(
  database: D1Database,
  projectId: string,
  query: GenerationsQuery,
): Promise<Page<UsageEntry>> {
  const rows = await selectGenerations(database, projectId, query).all();
  return toPage(rows.map(toEntry), query.limit);
}
