import { drizzle } from "drizzle-orm/sqlite-proxy";
import { createKey, describeSecret } from "../../edge/auth/key.ts";
import { DEFAULT_SCOPES } from "../../schema/api/keys.ts";
import type { Bounds } from "../../schema/attributes.ts";
import { apiKeys, projects } from "../../schema/database/tables.ts";
import type { Database } from "./migrations.ts";
import type { Secrets } from "./secrets.ts";

const PROJECT_ID = "proj_demo";
const KEY_ID = "key_demo";

export type KeyLimits = { requestsPerMinute: number; tokensPerMinute: number };

/** High enough that a person trying things out, or a test suite, meets them only on purpose. */
const LIMITS: KeyLimits = { requestsPerMinute: 600, tokensPerMinute: 400_000 };

/** The demo is there to try all sliders: unlike other keys, its own may ask for toxicity. */
const BOUNDS: Bounds = {};

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
    ...(await describeSecret(secrets.keyPepper, secrets.demoKey)),
    scopes: DEFAULT_SCOPES.secret,
    bounds: BOUNDS,
    previousHash: null,
    previousExpiresAt: null,
    expiresAt: null,
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
  const key = createKey("sk_test");
  const row = { id: `key_${crypto.randomUUID()}`, projectId: PROJECT_ID, name: "Added key" };
  await drizzleOver(database)
    .insert(apiKeys)
    .values({ ...row, ...(await describeSecret(secrets.keyPepper, key)), bounds: BOUNDS, ...limits });
  return key;
}
