import type { Key, KeySettings } from "../../schema/api/keys.ts";
import type { apiKeys } from "../../schema/database/tables.ts";

type Row = typeof apiKeys.$inferSelect;

/** What an administrator sets; what is left out stays as it is. */
export type Settings = { [Name in keyof KeySettings]?: KeySettings[Name] | undefined };

type Columns = Pick<
  Row,
  | "name"
  | "scopes"
  | "bounds"
  | "models"
  | "presets"
  | "origins"
  | "requestsPerMinute"
  | "tokensPerMinute"
  | "expiresAt"
>;

export function toColumns(settings: KeySettings): Columns;
export function toColumns(settings: Settings): { [Name in keyof Columns]: Columns[Name] | undefined };
export function toColumns(settings: Settings) {
  const {
    requests_per_minute: requestsPerMinute,
    tokens_per_minute: tokensPerMinute,
    expires_at: expiresAt,
  } = settings;
  const { name, scopes, bounds, models, presets, origins } = settings;
  return { name, scopes, bounds, models, presets, origins, requestsPerMinute, tokensPerMinute, expiresAt };
}

/** @param pepperId of the present pepper */
export function toKey(row: Row, pepperId: string): Key {
  return {
    object: "key",
    id: row.id,
    project: row.projectId,
    name: row.name,
    kind: row.kind,
    hint: `${row.prefix === null ? "" : `${row.prefix}_`}…${row.lastFour}`,
    scopes: row.scopes,
    bounds: row.bounds,
    models: row.models,
    presets: row.presets,
    origins: row.origins,
    requests_per_minute: row.requestsPerMinute,
    tokens_per_minute: row.tokensPerMinute,
    expires_at: row.expiresAt,
    revoked_at: row.revokedAt,
    replaced_works_until: row.previousExpiresAt,
    rehash_pending: row.pepperId !== pepperId,
    version: row.version,
    created_at: row.createdAt,
  };
}
