import type { Key, KeySettings } from "../../schema/api/keys.ts";
import type { apiKeys } from "../../schema/database/tables.ts";
import { toLimitColumns, toLimits } from "../limits/columns.ts";

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
  | "moderation"
  | "origins"
  | "requestsPerMinute"
  | "tokensPerMinute"
  | "concurrentGenerations"
  | "tokensPerMonth"
  | "endUserLimits"
  | "expiresAt"
>;

export function toColumns(settings: KeySettings): Columns;
export function toColumns(settings: Settings): { [Name in keyof Columns]: Columns[Name] | undefined };
export function toColumns(settings: Settings) {
  const { name, scopes, bounds, models, presets, moderation, origins } = settings;
  return {
    name,
    scopes,
    bounds,
    models,
    presets,
    moderation,
    origins,
    ...toLimitColumns(settings),
    endUserLimits: settings.end_user_limits,
    expiresAt: settings.expires_at,
  };
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
    moderation: row.moderation,
    origins: row.origins,
    ...toLimits(row),
    end_user_limits: row.endUserLimits,
    expires_at: row.expiresAt,
    revoked_at: row.revokedAt,
    replaced_works_until: row.previousExpiresAt,
    rehash_pending: row.pepperId !== pepperId,
    version: row.version,
    created_at: row.createdAt,
  };
}
