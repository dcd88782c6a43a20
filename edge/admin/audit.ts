import { and, desc, eq, lt, type SQL, sql } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import type { AuditAction, AuditEntry, AuditQuery, Page } from "../../schema/api/admin.ts";
import { auditLog } from "../../schema/database/tables.ts";
import { toPage } from "./page.ts";

/** Who changes something, and in which request. */
export type Author = { actor: string; requestId: string };

/** `changes` never holds a secret. */
export type Change = { action: AuditAction; projectId: string; target: string; changes: Record<string, unknown> };

/** The statement that records a change; goes into one batch, so into one transaction, with the change itself. */
export function recordChange(database: DrizzleD1Database, author: Author, change: Change) {
  return database.insert(auditLog).values({ ...author, ...change });
}

/**
 * The same for a change that is made only `where` a row of `table` is as it was read: nothing is recorded where nothing is changed.
 * Comes before the change in its batch, for the change makes `where` false.
 */
export function recordChangeWhere(
  database: DrizzleD1Database,
  author: Author,
  change: Change,
  table: SQLiteTable,
  where: SQL | undefined,
) {
  return database.insert(auditLog).select(
    database
      .select({
        id: sql<number>`NULL`.as("id"),
        at: sql<number>`unixepoch()`.as("at"),
        actor: sql<string>`${author.actor}`.as("actor"),
        action: sql<AuditAction>`${change.action}`.as("action"),
        projectId: sql<string>`${change.projectId}`.as("project_id"),
        target: sql<string>`${change.target}`.as("target"),
        changes: sql<Record<string, unknown>>`${JSON.stringify(change.changes)}`.as("changes"),
        requestId: sql<string>`${author.requestId}`.as("request_id"),
      })
      .from(table)
      .where(where),
  );
}

const toEntry = (row: typeof auditLog.$inferSelect): AuditEntry => ({
  object: "audit_entry",
  id: row.id,
  at: row.at,
  actor: row.actor,
  action: row.action,
  project: row.projectId,
  target: row.target,
  changes: row.changes,
  request_id: row.requestId,
});

/** A page of the log, newest first. */
export async function listChanges(
  database: DrizzleD1Database,
  { limit, after, project }: AuditQuery,
): Promise<Page<AuditEntry>> {
  const rows = await database
    .select()
    .from(auditLog)
    .where(
      and(
        project === undefined ? undefined : eq(auditLog.projectId, project),
        after === undefined ? undefined : lt(auditLog.id, after),
      ),
    )
    .orderBy(desc(auditLog.id))
    .limit(limit + 1)
    .all();
  return toPage(rows.map(toEntry), limit);
}
