import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { repository } from "../stack/paths.ts";
import { type Outcome, tool } from "./check.ts";

const MIGRATIONS = join(repository, "schema", "database", "migrations");

/** Asks drizzle-kit for the next migration, beside a copy of the existing ones: there must be none. */
export async function checkMigrations(): Promise<Outcome> {
  const copy = mkdtempSync(join(tmpdir(), "attune-migrations-"));
  try {
    cpSync(MIGRATIONS, copy, { recursive: true });
    const schema = join("schema", "database", "tables.ts");
    // drizzle-kit puts the working directory before whatever it is given.
    const out = relative(repository, copy);
    const { ok, output } = await tool("drizzle-kit", [
      "generate",
      "--dialect",
      "sqlite",
      "--schema",
      schema,
      "--out",
      out,
    ]);
    if (!ok) return { ok, output };
    const missing = readdirSync(copy).filter((name) => !readdirSync(MIGRATIONS).includes(name));
    if (missing.length === 0) return { ok: true, output };
    return {
      ok: false,
      output: "The tables changed. Run `npx drizzle-kit generate` and commit the migration it writes.",
    };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
