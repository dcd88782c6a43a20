import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { usageOf } from "../../schema/api/chat.ts";
import type { Generation } from "../../schema/api/generations.ts";
import { generations } from "../../schema/database/tables.ts";
import type { Asker } from "./kept/kept-record.ts";
import { failureOf } from "./kept/stopped.ts";

/** A generation that has ended, as the ledger knows it, of those that the asker may know of. */
export async function findEnded(database: D1Database, asker: Asker, id: string): Promise<Generation | null> {
  const row = await drizzle(database)
    .select()
    .from(generations)
    .where(and(eq(generations.id, id), eq(generations.projectId, asker.projectId)))
    .get();
  if (row === undefined) return null;
  const isOwn = row.keyId === asker.keyId && row.endUser === asker.session?.endUser;
  if (asker.session !== null && !isOwn) return null;
  return {
    object: "generation",
    id,
    state: row.state,
    model: row.model,
    dialect: row.dialect,
    stream: row.streamed,
    preset: row.presetSlug === null ? null : { slug: row.presetSlug, version: row.presetVersion },
    steer: null,
    usage: row.usageKnown ? usageOf(row.promptTokens, row.completionTokens) : null,
    created_at: row.createdAt,
    finished_at: row.createdAt + Math.floor(row.durationMs / 1000),
    error: row.error === null ? null : failureOf(row.error).toBody().error,
    kept: null,
    request_id: row.requestId,
  };
}
