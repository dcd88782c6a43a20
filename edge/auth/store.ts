import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { apiKeys } from "../../schema/database/tables.ts";
import { ExpiringCache } from "../expiring-cache.ts";
import type { Limits } from "../limits/window.ts";

/** What a request may do, as its key says. */
export type ApiKey = { id: string; projectId: string; limits: Limits; revoked: boolean };

/** Upper bound on how long a revoked key still works in an isolate that has seen it. */
const known = new ExpiringCache<ApiKey>({ capacity: 10_000, lifetimeMs: 30_000 });

/** Hashes that no key has. Apart from the hits, so that guessing cannot push them out. */
const unknown = new ExpiringCache<true>({ capacity: 1_000, lifetimeMs: 5_000 });

/**
 * The key with this hash, or `null`.
 *
 * @param now Unix milliseconds.
 */
export async function findKey(database: D1Database, hash: string, now: number): Promise<ApiKey | null> {
  const cached = known.get(hash, now);
  if (cached !== undefined) return cached;
  if (unknown.get(hash, now)) return null;
  const row = await drizzle(database).select().from(apiKeys).where(eq(apiKeys.hash, hash)).get();
  if (row === undefined) {
    unknown.set(hash, true, now);
    return null;
  }
  const key: ApiKey = {
    id: row.id,
    projectId: row.projectId,
    limits: { requests: row.requestsPerMinute, tokens: row.tokensPerMinute },
    revoked: row.revokedAt !== null,
  };
  known.set(hash, key, now);
  return key;
}
