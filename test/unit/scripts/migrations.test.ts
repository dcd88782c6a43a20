import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyMigrations, type Database } from "../../../scripts/stack/migrations.ts";

describe("migrations of the local database", () => {
  const directory = mkdtempSync(join(tmpdir(), "attune-migrations-"));
  const write = (name: string, ...statements: string[]) =>
    writeFileSync(join(directory, name), statements.join("\n--> statement-breakpoint\n"));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({ modules: true, script: "export default {}", d1Databases: { DB: "test" }, cf: false }),
  );
  let database: Database;

  beforeAll(async () => {
    database = await miniflare.getD1Database("DB");
  });
  afterAll(async () => {
    await miniflare.dispose();
    rmSync(directory, { recursive: true });
  });

  const applied = async () => {
    const { results } = await database.prepare("SELECT name FROM d1_migrations ORDER BY id").all<{ name: string }>();
    return results.map((row) => row.name);
  };

  it("run once each, in order, and are recorded where Wrangler looks", async () => {
    write("0001_b.sql", "ALTER TABLE a ADD COLUMN y INTEGER;");
    write("0000_a.sql", "CREATE TABLE a (x INTEGER);", "INSERT INTO a VALUES (1);");
    await applyMigrations(database, directory);
    await applyMigrations(database, directory);
    expect(await applied()).toEqual(["0000_a.sql", "0001_b.sql"]);
    expect((await database.prepare("SELECT * FROM a").all()).results).toEqual([{ x: 1, y: null }]);
  });
  it("leave nothing behind when one fails", async () => {
    write("0002_c.sql", "CREATE TABLE c (x INTEGER);", "INSERT INTO missing VALUES (1);");
    await expect(applyMigrations(database, directory)).rejects.toThrow("0002_c.sql failed and was rolled back");
    expect(await applied()).toEqual(["0000_a.sql", "0001_b.sql"]);
    await expect(database.prepare("SELECT * FROM c").all()).rejects.toThrow("no such table");
  });
});
