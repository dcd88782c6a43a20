import { sql } from "drizzle-orm";
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { AuditAction } from "../api/admin.ts";
import { DEFAULT_KEY_BOUNDS, type KeyKind, type Scope } from "../api/keys.ts";
import { type Limits, NO_LIMITS } from "../api/limits.ts";
import type { Moderation } from "../api/moderation.ts";
import type { PresetFields } from "../api/presets.ts";
import type { AttributeLevels, Bounds } from "../attributes.ts";
import type { GenerateRequest } from "../wire/generate.ts";

/** Unix seconds, set by the database. */
const now = sql`(unixepoch())`;

/** What keys could do before there were scopes: those of earlier versions got these. */
const FIRST_SCOPES: readonly Scope[] = ["chat", "models:read", "presets:read", "presets:write"];

/** `null`: not limited. */
const limits = {
  requestsPerMinute: integer("requests_per_minute"),
  tokensPerMinute: integer("tokens_per_minute"),
  concurrentGenerations: integer("concurrent_generations"),
  tokensPerMonth: integer("tokens_per_month"),
};

export const projects = sqliteTable("projects", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  ...limits,
  version: integer("version").notNull().default(1),
  createdAt: integer("created_at").notNull().default(now),
});

/**
 * Keys, secret and publishable. The key itself is never stored: `hash` is HMAC-SHA-256(pepper, key) in hex. A key that was rotated has
 * a second secret, which works until `previousExpiresAt`.
 */
export const apiKeys = sqliteTable(
  "api_keys",
  {
    id: text("id").primaryKey(),
    projectId: text("project_id").notNull(),
    name: text("name").notNull(),
    kind: text("kind").$type<KeyKind>().notNull().default("secret"),
    hash: text("hash").notNull().unique(),
    /** Names the pepper of `hash`; `null` where nobody recorded it. */
    pepperId: text("pepper_id"),
    previousHash: text("previous_hash").unique(),
    previousExpiresAt: integer("previous_expires_at"),
    /** What a person recognises the key by: its prefix (`null` where nobody recorded it) and its last four characters. */
    prefix: text("prefix"),
    lastFour: text("last_four").notNull(),
    scopes: text("scopes", { mode: "json" }).$type<readonly Scope[]>().notNull().default(FIRST_SCOPES),
    bounds: text("bounds", { mode: "json" }).$type<Bounds>().notNull().default(DEFAULT_KEY_BOUNDS),
    models: text("models", { mode: "json" }).$type<readonly string[]>(),
    presets: text("presets", { mode: "json" }).$type<readonly string[]>(),
    moderation: text("moderation", { mode: "json" }).$type<Moderation>(),
    origins: text("origins", { mode: "json" }).$type<readonly string[]>().notNull().default([]),
    ...limits,
    endUserLimits: text("end_user_limits", { mode: "json" }).$type<Limits>().notNull().default(NO_LIMITS),
    version: integer("version").notNull().default(1),
    createdAt: integer("created_at").notNull().default(now),
    expiresAt: integer("expires_at"),
    revokedAt: integer("revoked_at"),
  },
  (table) => [index("api_keys_project").on(table.projectId)],
);

/** Administrative changes, each written in the same transaction as the change itself. */
export const auditLog = sqliteTable(
  "audit_log",
  {
    id: integer("id").primaryKey({ autoIncrement: true }),
    at: integer("at").notNull().default(now),
    /** `admin_token`, or the id of the key that did it. */
    actor: text("actor").notNull(),
    action: text("action").$type<AuditAction>().notNull(),
    projectId: text("project_id").notNull(),
    target: text("target").notNull(),
    changes: text("changes", { mode: "json" }).$type<Record<string, unknown>>().notNull(),
    requestId: text("request_id").notNull(),
  },
  (table) => [index("audit_log_project").on(table.projectId, table.id)],
);

/**
 * Presets, each with its one draft. A deleted one leaves its row behind, without content, so that its version numbers never come to mean
 * something else.
 */
export const presets = sqliteTable(
  "presets",
  {
    projectId: text("project_id").notNull(),
    slug: text("slug").notNull(),
    /** The last number that a version was given; 0 before the first. */
    version: integer("version").notNull().default(0),
    /** Counts up by one with every change of any kind, also over a deletion; what `ETag` is made of. */
    revision: integer("revision").notNull().default(1),
    draft: text("draft", { mode: "json" }).$type<PresetFields>().notNull(),
    /** Versions by the names that were given to them. */
    aliases: text("aliases", { mode: "json" }).$type<Record<string, number>>().notNull().default({}),
    createdAt: integer("created_at").notNull().default(now),
    updatedAt: integer("updated_at").notNull().default(now),
    deletedAt: integer("deleted_at"),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.slug] })],
);

/** What was published, and is never changed. */
export const presetVersions = sqliteTable(
  "preset_versions",
  {
    projectId: text("project_id").notNull(),
    slug: text("slug").notNull(),
    version: integer("version").notNull(),
    content: text("content", { mode: "json" }).$type<PresetFields>().notNull(),
    note: text("note"),
    /** The id of the key that published it; `null` where nobody recorded it. */
    createdBy: text("created_by"),
    createdAt: integer("created_at").notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.slug, table.version] })],
);

/**
 * The ledger: what each generation used, written once it is over. Never what was said. Read in time ranges of one project, or by id.
 */
export const generations = sqliteTable(
  "generations",
  {
    /** The generation's id, which makes the row one however often it is delivered. */
    id: text("id").primaryKey(),
    projectId: text("project_id").notNull(),
    keyId: text("key_id").notNull(),
    /** As the page of a session calls whoever sits before it. */
    endUser: text("end_user"),
    presetSlug: text("preset_slug"),
    /** `null`: none, or the preset's draft. */
    presetVersion: integer("preset_version"),
    model: text("model").notNull(),
    dialect: text("dialect").$type<GenerateRequest["dialect"]>().notNull(),
    choices: integer("choices").notNull(),
    /** Levels that reached the model; `null` where each choice had its own. */
    attributes: text("attributes", { mode: "json" }).$type<AttributeLevels>(),
    streamed: integer("streamed", { mode: "boolean" }).notNull(),
    state: text("state").$type<"completed" | "cancelled" | "failed">().notNull(),
    /** Code of what it failed with. */
    error: text("error"),
    /** As far as anybody knows: 0 where nobody does. */
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    /** Whether both are known. */
    usageKnown: integer("usage_known", { mode: "boolean" }).notNull(),
    /** When the request arrived, in Unix seconds. */
    createdAt: integer("created_at").notNull(),
    /** Milliseconds from then on. */
    firstByteMs: integer("first_byte_ms"),
    durationMs: integer("duration_ms").notNull(),
    requestId: text("request_id").notNull(),
  },
  (table) => [index("generations_project").on(table.projectId, table.createdAt, table.id)],
);
