import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Miniflare } from "miniflare";
import { StackError } from "./stack-error.ts";

export type Database = Awaited<ReturnType<Miniflare["getD1Database"]>>;

/** Wrangler's own table, to the letter, so that `wrangler d1 migrations apply` agrees on what was applied. */
const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

/** What drizzle-kit writes between two statements. */
const BREAKPOINT = "--> statement-breakpoint";

/**
 * Applies the migrations that the database lacks, in order, each whole or not at all.
 *
 * @throws StackError naming the migration that failed
 */
export async function applyMigrations(database: Database, directory: string): Promise<void> {
  await database.prepare(CREATE_TABLE).run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map((row) => row.name));
  const files = readdirSync(directory).filter((name) => name.endsWith(".sql"));

  for (const name of files.sort().filter((file) => !applied.has(file))) {
    const statements = readFileSync(join(directory, name), "utf8")
      .split(BREAKPOINT)
      .map((statement) => statement.trim())
      .filter((statement) => statement !== "");
    try {
      await database.batch([
        ...statements.map((statement) => database.prepare(statement)),
        database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name),
      ]);
    } catch (error) {
      throw new StackError(`The database migration ${name} failed and was rolled back.`, { cause: error });
    }
  }
}
