import { and, asc, eq, sql } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import type { Page, PageQuery } from "../../schema/api/admin.ts";
import type { Project, ProjectCreate, ProjectUpdate } from "../../schema/api/projects.ts";
import { projects } from "../../schema/database/tables.ts";
import { randomBase62 } from "../base62.ts";
import { toLimitColumns, toLimits } from "../limits/columns.ts";
import { type Author, type Change, recordChange, recordChangeWhere } from "./audit.ts";
import { toPage } from "./page.ts";

const toProject = (row: typeof projects.$inferSelect): Project => ({
  object: "project",
  id: row.id,
  name: row.name,
  ...toLimits(row),
  version: row.version,
  created_at: row.createdAt,
});

export async function createProject(
  database: DrizzleD1Database,
  { name, ...limits }: ProjectCreate,
  author: Author,
): Promise<Project> {
  const id = `proj_${randomBase62(24)}`;
  const changes = { name, ...limits };
  const [[row]] = await database.batch([
    database
      .insert(projects)
      .values({ id, name, ...toLimitColumns(limits) })
      .returning(),
    recordChange(database, author, { action: "project.create", projectId: id, target: id, changes }),
  ]);
  if (row === undefined) throw new Error("the database did not return the new project");
  return toProject(row);
}

export async function findProject(database: DrizzleD1Database, id: string): Promise<Project | null> {
  const row = await database.select().from(projects).where(eq(projects.id, id)).get();
  return row === undefined ? null : toProject(row);
}

/** The project as changed, or `null` where it is no longer at this version. */
export async function updateProject(
  database: DrizzleD1Database,
  id: string,
  { version, ...settings }: ProjectUpdate,
  author: Author,
): Promise<Project | null> {
  const asRead = and(eq(projects.id, id), eq(projects.version, version));
  const change: Change = { action: "project.update", projectId: id, target: id, changes: settings };
  const [, [row]] = await database.batch([
    recordChangeWhere(database, author, change, projects, asRead),
    database
      .update(projects)
      .set({ name: settings.name, ...toLimitColumns(settings), version: sql`${projects.version} + 1` })
      .where(asRead)
      .returning(),
  ]);
  return row === undefined ? null : toProject(row);
}

/** A page of all projects, oldest first. */
export async function listProjects(database: DrizzleD1Database, { limit, after }: PageQuery): Promise<Page<Project>> {
  const later = sql`(${projects.createdAt}, ${projects.id}) > (SELECT created_at, id FROM projects WHERE id = ${after})`;
  const rows = await database
    .select()
    .from(projects)
    .where(after === undefined ? undefined : later)
    .orderBy(asc(projects.createdAt), asc(projects.id))
    .limit(limit + 1)
    .all();
  return toPage(rows.map(toProject), limit);
}
