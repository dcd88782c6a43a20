import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyMigrations, type Database } from "../../../scripts/stack/migrations.ts";
import { repository } from "../../../scripts/stack/paths.ts";

const MIGRATIONS = join(repository, "schema", "database", "migrations");
const ROWS = 300;

/** A database as the version before keys had scopes left it, every table full of rows. */
describe("a database of the first version", () => {
  const directory = mkdtempSync(join(tmpdir(), "attune-old-database-"));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({ modules: true, script: "export default {}", d1Databases: { DB: "old" }, cf: false }),
  );
  let database: Database;
  const rowsOf = async (table: string) =>
    (await database.prepare(`SELECT * FROM ${table} ORDER BY rowid`).all<Record<string, unknown>>()).results;
  const before = new Map<string, Record<string, unknown>[]>();

  beforeAll(async () => {
    cpSync(join(MIGRATIONS, "0000_initial.sql"), join(directory, "0000_initial.sql"));
    database = await miniflare.getD1Database("DB");
    await applyMigrations(database, directory);
    const indices = JSON.stringify(Array.from({ length: ROWS }, (_, index) => index));
    await database.batch(
      [
        "INSERT INTO projects (id, name) SELECT 'proj_' || value, 'Project ' || value FROM json_each(?)",
        `INSERT INTO presets (project_id, slug, version, persona, attributes, bounds, updated_at)
          SELECT 'proj_' || value, 'tutor', value + 1, 'Teach "' || value || '".' || char(10) || '{{it}} 👋', '{"verbosity":1}', '{}', 1750000000
          FROM json_each(?)`,
        `INSERT INTO api_keys (id, project_id, name, hash, last_four, requests_per_minute, tokens_per_minute, revoked_at)
          SELECT 'key_' || value, 'proj_' || value, 'a key', 'hash ' || value, 'abcd', 600, 400000, iif(value % 3 = 0, 1700000000, NULL)
          FROM json_each(?)`,
      ].map((statement) => database.prepare(statement).bind(indices)),
    );
    for (const table of ["projects", "presets", "api_keys"]) before.set(table, await rowsOf(table));
    await applyMigrations(database, MIGRATIONS);
    // A busy machine takes twenty seconds to start workerd and write the rows.
  }, 60_000);
  afterAll(async () => {
    await miniflare.dispose();
    rmSync(directory, { recursive: true });
  });

  it.each(["projects", "api_keys"])("keeps every row and every value of %s", async (table) => {
    const after = await rowsOf(table);
    expect(after).toHaveLength(ROWS);
    for (const [index, row] of (before.get(table) ?? []).entries()) expect(after[index]).toMatchObject(row);
  });

  it("goes on with what its presets say, as their published versions and their drafts", async () => {
    const versions = await rowsOf("preset_versions");
    const presets = await rowsOf("presets");
    expect(versions).toHaveLength(ROWS);
    for (const [index, row] of (before.get("presets") ?? []).entries()) {
      const { project_id, slug, version, persona, created_at, updated_at } = row;
      expect(versions[index]).toMatchObject({ project_id, slug, version, created_at: updated_at });
      expect(presets[index]).toMatchObject({ project_id, slug, version, created_at, updated_at, aliases: "{}" });
      const content = { persona, attributes: { verbosity: 1 }, bounds: {}, variables: {}, sampling: {} };
      for (const text of [versions[index]?.content, presets[index]?.draft]) {
        expect(JSON.parse(String(text))).toEqual(content);
      }
    }
  });

  it("lets its keys do what they could do: all that there was, unbounded, for ever", async () => {
    for (const row of await rowsOf("api_keys")) {
      expect(row).toMatchObject({
        kind: "secret",
        scopes: '["chat","models:read","presets:read","presets:write"]',
        bounds: "{}",
        models: null,
        presets: null,
        origins: "[]",
        expires_at: null,
        previous_hash: null,
        version: 1,
      });
    }
  });
});
