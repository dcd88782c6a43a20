import type { PresetAddress } from "../../schema/api/preset-reference.ts";
import { ExpiringCache } from "../expiring-cache.ts";
import { type ResolvedPreset, resolvePreset } from "./versions.ts";

/** Upper bound on how long an isolate goes by what it has read of a preset: then what another has changed holds here too. */
const LIFETIME_MS = 5_000;

/** By preset, then by reference: all that is known of one is forgotten together. */
const known = new ExpiringCache<Map<string, ResolvedPreset>>({ capacity: 1_000, lifetimeMs: LIFETIME_MS });
/** References that are remembered of one preset. */
const MOST_REFERENCES = 32;

const keyOf = (projectId: string, slug: string) => JSON.stringify([projectId, slug]);

/**
 * What a generation that names the preset uses, as it was at most a few seconds ago. A draft is never remembered, nor that there is nothing.
 *
 * @param param the field that named it
 * @param now Unix milliseconds
 * @throws AttuneError `preset_not_found`, saying why
 */
export async function resolveRecent(
  database: D1Database,
  projectId: string,
  address: PresetAddress,
  param: string,
  now: number,
): Promise<ResolvedPreset> {
  if (address.reference === "draft") return resolvePreset(database, projectId, address, param);
  const key = keyOf(projectId, address.slug);
  // A number is never an alias, so the two have no text in common.
  const reference = String(address.reference);
  let references = known.get(key, now);
  const hit = references?.get(reference);
  if (hit !== undefined) return hit;
  if (references === undefined) {
    references = new Map();
    known.set(key, references, now);
  }
  const resolved = await resolvePreset(database, projectId, address, param);
  // Where the preset was changed meanwhile its map is no longer looked into, so what was read before the change is not seen again.
  if (references.size < MOST_REFERENCES) references.set(reference, resolved);
  return resolved;
}

/** This isolate has changed the preset: what it does next sees that. */
export function forgetRecent(projectId: string, slug: string): void {
  known.delete(keyOf(projectId, slug));
}
