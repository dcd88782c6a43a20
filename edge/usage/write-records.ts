import { getTableColumns } from "drizzle-orm";
import { USAGE_KEPT_DAYS } from "../../schema/api/usage.ts";
import { generations } from "../../schema/database/tables.ts";

const DAY_SECONDS = 86_400;

const columns = Object.entries(getTableColumns(generations));

/** All rows are one parameter, for D1 takes a hundred. A row that is there already stays as it is. */
const INSERT = `
  INSERT INTO generations (${columns.map(([, { name }]) => name).join(", ")})
  SELECT ${columns.map(([field]) => `value->>'$.${field}'`).join(", ")} FROM json_each(?)
  WHERE true ON CONFLICT (id) DO NOTHING`;

const FORGET = `
  DELETE FROM generations
  WHERE project_id IN (SELECT DISTINCT value->>'$.projectId' FROM json_each(?)) AND created_at < ?`;

/**
 * Writes records of generations into the ledger, and takes what is too old out of it: all of that or nothing.
 *
 * @param records each as JSON
 * @param now Unix milliseconds
 */
export async function writeRecords(database: D1Database, records: readonly string[], now: number): Promise<void> {
  const list = `[${records.join(",")}]`;
  const oldest = Math.floor(now / 1000) - USAGE_KEPT_DAYS * DAY_SECONDS;
  await database.batch([database.prepare(INSERT).bind(list), database.prepare(FORGET).bind(list, oldest)]);
}
