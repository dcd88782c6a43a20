import { and, eq, inArray, or } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { KeyKind, Scope } from "../../schema/api/keys.ts";
import { type Limits, NO_LIMITS } from "../../schema/api/limits.ts";
import type { Moderation } from "../../schema/api/moderation.ts";
import type { Bounds } from "../../schema/attributes.ts";
import { apiKeys, projects } from "../../schema/database/tables.ts";
import { ExpiringCache } from "../expiring-cache.ts";
import { toLimits } from "../limits/columns.ts";
import { hashKey, pepperIdOf } from "./key.ts";

/** What a request may do, as its key says. */
export type ApiKey = {
  id: string;
  projectId: string;
  kind: KeyKind;
  limits: Limits;
  projectLimits: Limits;
  /** Of each end user of the key's sessions. */
  endUserLimits: Limits;
  scopes: readonly Scope[];
  bounds: Bounds;
  /** `null`: all of them; so for presets. */
  models: readonly string[] | null;
  presets: readonly string[] | null;
  /** `null`: none. */
  moderation: Moderation | null;
  origins: readonly string[];
  /** Unix seconds; `null`: never. */
  expiresAt: number | null;
  revoked: boolean;
};

/** A key, found by one of its secrets. `worksUntil` (Unix seconds) is set where a rotation replaced that secret. */
export type FoundKey = { key: ApiKey; worksUntil: number | null };

type Row = typeof apiKeys.$inferSelect;
type Environment = Pick<Cloudflare.Env, "DB" | "KEY_PEPPER" | "KEY_PEPPER_OTHER">;

/** Upper bound on how long an isolate goes by what it has seen of a key: then a revocation, or any other change, holds everywhere. */
const LIFETIME_MS = 30_000;
const bySecret = new ExpiringCache<FoundKey>({ capacity: 10_000, lifetimeMs: LIFETIME_MS });
const byId = new ExpiringCache<ApiKey>({ capacity: 10_000, lifetimeMs: LIFETIME_MS });

/** Hashes that no key has. Apart from the hits, so that guessing cannot push them out. */
const unknown = new ExpiringCache<true>({ capacity: 1_000, lifetimeMs: 5_000 });

/** Keys beside their projects; `project` is `null` where nobody recorded it. */
const selectKeys = (database: D1Database) =>
  drizzle(database)
    .select({ row: apiKeys, project: projects })
    .from(apiKeys)
    .leftJoin(projects, eq(apiKeys.projectId, projects.id));

const toApiKey = ({ row, project }: { row: Row; project: typeof projects.$inferSelect | null }): ApiKey => ({
  id: row.id,
  projectId: row.projectId,
  kind: row.kind,
  limits: toLimits(row),
  projectLimits: project === null ? NO_LIMITS : toLimits(project),
  endUserLimits: row.endUserLimits,
  scopes: row.scopes,
  bounds: row.bounds,
  models: row.models,
  presets: row.presets,
  moderation: row.moderation,
  origins: row.origins,
  expiresAt: row.expiresAt,
  revoked: row.revokedAt !== null,
});

/**
 * The key that has this secret, or `null`. Where it is hashed under the other pepper, its hash is renewed under the present one.
 *
 * @param now Unix milliseconds.
 * @param later keeps the Worker alive for what the caller need not wait for
 */
export async function findKeyBySecret(
  env: Environment,
  secret: string,
  now: number,
  later: (work: Promise<void>) => void,
): Promise<FoundKey | null> {
  const hash = await hashKey(env.KEY_PEPPER, secret);
  const cached = bySecret.get(hash, now);
  if (cached !== undefined) return cached;
  if (unknown.get(hash, now)) return null;

  const other = env.KEY_PEPPER_OTHER;
  const hashes = other === undefined ? [hash] : [hash, await hashKey(other, secret)];
  const stored = await selectKeys(env.DB)
    .where(or(inArray(apiKeys.hash, hashes), inArray(apiKeys.previousHash, hashes)))
    .get();
  if (stored === undefined) {
    unknown.set(hash, true, now);
    return null;
  }
  const { row } = stored;
  later(renewHash(env, row, hashes, hash));
  const found: FoundKey = {
    key: toApiKey(stored),
    worksUntil: hashes.includes(row.hash) ? null : row.previousExpiresAt,
  };
  bySecret.set(hash, found, now);
  return found;
}

/** The key with this id, or `null`. */
export async function findKeyById(database: D1Database, id: string, now: number): Promise<ApiKey | null> {
  const cached = byId.get(id, now);
  if (cached !== undefined) return cached;
  const stored = await selectKeys(database).where(eq(apiKeys.id, id)).get();
  if (stored === undefined) return null;
  const key = toApiKey(stored);
  byId.set(id, key, now);
  return key;
}

/** Brings the stored hash of a secret that was just used under the present pepper. A failure leaves it for the next time. */
async function renewHash(env: Environment, row: Row, hashes: readonly string[], hash: string): Promise<void> {
  const isCurrent = hashes.includes(row.hash);
  const pepperId = await pepperIdOf(env.KEY_PEPPER);
  if (isCurrent ? row.hash === hash && row.pepperId === pepperId : row.previousHash === hash) return;
  const { set, column, seen } = isCurrent
    ? { set: { hash, pepperId }, column: apiKeys.hash, seen: row.hash }
    : { set: { previousHash: hash }, column: apiKeys.previousHash, seen: row.previousHash ?? "" };
  try {
    await drizzle(env.DB)
      .update(apiKeys)
      .set(set)
      .where(and(eq(apiKeys.id, row.id), eq(column, seen)));
  } catch (error) {
    console.error(JSON.stringify({ event: "rehash_failed", key_id: row.id, reason: String(error) }));
  }
}
