import { drizzle } from "drizzle-orm/sqlite-proxy";
import { createKey, hashKey } from "../../edge/auth/key.ts";
import { apiKeys, projects } from "../../schema/database/tables.ts";
import type { Database } from "./migrations.ts";
import type { Secrets } from "./secrets.ts";

const PROJECT_ID = "proj_demo";
const KEY_ID = "key_demo";

export type KeyLimits = { requestsPerMinute: number; tokensPerMinute: number };

/** High enough that a person trying things out, or a test suite, meets them only on purpose. */
const LIMITS: KeyLimits = { requestsPerMinute: 600, tokensPerMinute: 400_000 };

/** drizzle over Miniflare's D1; its own D1 driver would pull the types of the Workers runtime in here. */
function drizzleOver(database: Database) {
  return drizzle(async (query, params, method) => {
    const statement = database.prepare(query).bind(...params);
    if (method === "run") {
      await statement.run();
      return { rows: [] };
    }
    const rows = await statement.raw();
    return { rows: method === "get" ? (rows[0] ?? []) : rows };
  });
}

/** Creates the demo project and its key, or brings the key in step with the secrets. */
export async function ensureDemoProject(database: Database, secrets: Secrets): Promise<void> {
  const db = drizzleOver(database);
  const key = {
    hash: await hashKey(secrets.keyPepper, secrets.demoKey),
    lastFour: secrets.demoKey.slice(-4),
    revokedAt: null,
    ...LIMITS,
  };
  await db.insert(projects).values({ id: PROJECT_ID, name: "Demo" }).onConflictDoNothing();
  await db
    .insert(apiKeys)
    .values({ id: KEY_ID, projectId: PROJECT_ID, name: "Demo key", ...key })
    .onConflictDoUpdate({ target: apiKeys.id, set: key });
}

/** Creates one more secret key of the demo project, with limits of its own. */
export async function addKey(database: Database, secrets: Secrets, limits: KeyLimits): Promise<string> {
  const key = createKey("test");
  const hash = await hashKey(secrets.keyPepper, key);
  const row = { id: `key_${crypto.randomUUID()}`, projectId: PROJECT_ID, name: "Added key", lastFour: key.slice(-4) };
  await drizzleOver(database)
    .insert(apiKeys)
    .values({ ...row, hash, ...limits });
  return key;
}
