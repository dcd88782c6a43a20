import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
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
        moderation: null,
        origins: "[]",
        expires_at: null,
        previous_hash: null,
        version: 1,
      });
    }
  });
});

/** A database as the version before the ledger left it. */
describe("a database of the version before the ledger", () => {
  const LAST = "0003_presets.sql";

  it("keeps every row and every value through that one step, and begins an empty ledger", async () => {
    const directory = mkdtempSync(join(tmpdir(), "attune-old-database-"));
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({ modules: true, script: "export default {}", d1Databases: { DB: "old" }, cf: false }),
    );
    try {
      const add = (names: string[]) => {
        for (const name of names) cpSync(join(MIGRATIONS, name), join(directory, name));
      };
      add(readdirSync(MIGRATIONS).filter((file) => file.endsWith(".sql") && file <= LAST));
      const database = await miniflare.getD1Database("DB");
      await applyMigrations(database, directory);
      const indices = JSON.stringify(Array.from({ length: ROWS }, (_, index) => index));
      const filling = {
        projects: `INSERT INTO projects (id, name, tokens_per_month, version)
          SELECT 'proj_' || value, 'Projekt 👋', iif(value % 2 = 0, value, NULL), value + 1 FROM json_each(?)`,
        api_keys: `INSERT INTO api_keys (id, project_id, name, kind, hash, previous_hash, last_four, bounds, origins, tokens_per_minute, expires_at)
          SELECT 'key_' || value, 'proj_' || value, 'Schlüssel', iif(value % 2 = 0, 'secret', 'publishable'), 'hash ' || value, 'old ' || value,
            'abcd', '{"toxicity":{"locked":0}}', '["https://shop.example"]', iif(value % 3 = 0, 400000, NULL), 1900000000 + value
          FROM json_each(?)`,
        presets: `INSERT INTO presets (project_id, slug, version, revision, draft, aliases, deleted_at)
          SELECT 'proj_' || value, 'tutor', 2, 5, '{"persona":"Draft."}', '{"production":1}', iif(value % 5 = 0, 1790000000, NULL) FROM json_each(?)`,
        preset_versions: `INSERT INTO preset_versions (project_id, slug, version, content, note, created_by, created_at)
          SELECT 'proj_' || (value / 2), 'tutor', 1 + value % 2, '{"persona":"Say ''it''."}', 'a note', 'key_1', 1780000000 + value FROM json_each(?)`,
        audit_log: `INSERT INTO audit_log (actor, action, project_id, target, changes, request_id)
          SELECT 'admin', 'key.create', 'proj_' || value, 'key_' || value, '{}', 'req_' || value FROM json_each(?)`,
      };
      await database.batch(Object.values(filling).map((statement) => database.prepare(statement).bind(indices)));
      const rowsOf = async (table: string) =>
        (await database.prepare(`SELECT * FROM ${table} ORDER BY rowid`).all<Record<string, unknown>>()).results;
      const tables = Object.keys(filling);
      const before = await Promise.all(tables.map(rowsOf));
      expect(before.map(({ length }) => length)).toEqual(tables.map(() => ROWS));
      add(["0004_usage.sql"]);
      await applyMigrations(database, directory);
      expect(await Promise.all(tables.map(rowsOf))).toEqual(before);
      expect(await rowsOf("generations")).toEqual([]);
    } finally {
      await miniflare.dispose();
      rmSync(directory, { recursive: true });
    }
    // A busy machine takes twenty seconds to start workerd and write the rows.
  }, 60_000);
});

/** A database as the version before keys had moderation left it. */
describe("a database of the version before moderation", () => {
  const LAST = "0004_usage.sql";

  it("keeps every row and every value, and moderates nothing", async () => {
    const directory = mkdtempSync(join(tmpdir(), "attune-old-database-"));
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({ modules: true, script: "export default {}", d1Databases: { DB: "old" }, cf: false }),
    );
    try {
      for (const name of readdirSync(MIGRATIONS).filter((file) => file.endsWith(".sql") && file <= LAST)) {
        cpSync(join(MIGRATIONS, name), join(directory, name));
      }
      const database = await miniflare.getD1Database("DB");
      await applyMigrations(database, directory);
      const indices = JSON.stringify(Array.from({ length: ROWS }, (_, index) => index));
      const filling = [
        `INSERT INTO api_keys (id, project_id, name, kind, hash, last_four, scopes, bounds, presets, origins, version, expires_at)
          SELECT 'key_' || value, 'proj_' || value, 'Schlüssel 👋', iif(value % 2 = 0, 'secret', 'publishable'), 'hash ' || value, 'abcd',
            '["chat"]', '{"toxicity":{"locked":0}}', '["tutor"]', '["https://shop.example"]', value + 1, 1900000000 + value
          FROM json_each(?)`,
        `INSERT INTO generations (id, project_id, key_id, model, dialect, choices, streamed, state, prompt_tokens, completion_tokens,
            usage_known, created_at, duration_ms, request_id)
          SELECT 'gen_' || value, 'proj_' || value, 'key_' || value, 'smollm2-135m', 'openai', 1, value % 2, 'completed', value, 2 * value,
            1, 1790000000, 300, 'req_' || value
          FROM json_each(?)`,
      ];
      await database.batch(filling.map((statement) => database.prepare(statement).bind(indices)));
      const rowsOf = async (table: string) =>
        (await database.prepare(`SELECT * FROM ${table} ORDER BY rowid`).all<Record<string, unknown>>()).results;
      const [keys, ledger] = [await rowsOf("api_keys"), await rowsOf("generations")];
      await applyMigrations(database, MIGRATIONS);
      expect([keys.length, ledger.length]).toEqual([ROWS, ROWS]);
      expect(await rowsOf("api_keys")).toMatchObject(keys.map((row) => ({ ...row, moderation: null })));
      expect(await rowsOf("generations")).toMatchObject(ledger);
    } finally {
      await miniflare.dispose();
      rmSync(directory, { recursive: true });
    }
    // A busy machine takes twenty seconds to start workerd and write the rows.
  }, 60_000);
});
