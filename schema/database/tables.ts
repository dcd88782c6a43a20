import { sql } from "drizzle-orm";
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { AttributeLevels, Bounds } from "../attributes.ts";

/** Unix seconds, set by the database. */
const now = sql`(unixepoch())`;

export const projects = sqliteTable("projects", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  createdAt: integer("created_at").notNull().default(now),
});

/** Secret keys. The key itself is never stored: `hash` is HMAC-SHA-256(pepper, key) in hex. */
export const apiKeys = sqliteTable(
  "api_keys",
  {
    id: text("id").primaryKey(),
    projectId: text("project_id").notNull(),
    name: text("name").notNull(),
    hash: text("hash").notNull().unique(),
    /** What a person recognises the key by: its last four characters. */
    lastFour: text("last_four").notNull(),
    requestsPerMinute: integer("requests_per_minute").notNull(),
    tokensPerMinute: integer("tokens_per_minute").notNull(),
    createdAt: integer("created_at").notNull().default(now),
    revokedAt: integer("revoked_at"),
  },
  (table) => [index("api_keys_project").on(table.projectId)],
);

export const presets = sqliteTable(
  "presets",
  {
    projectId: text("project_id").notNull(),
    slug: text("slug").notNull(),
    version: integer("version").notNull().default(1),
    persona: text("persona").notNull(),
    attributes: text("attributes", { mode: "json" }).$type<AttributeLevels>().notNull(),
    bounds: text("bounds", { mode: "json" }).$type<Bounds>().notNull(),
    createdAt: integer("created_at").notNull().default(now),
    updatedAt: integer("updated_at").notNull().default(now),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.slug] })],
);
