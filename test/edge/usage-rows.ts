import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { UsageRecord } from "../../edge/usage/usage-record.ts";
import { generations } from "../../schema/database/tables.ts";

export const limiterOf = (projectId: string) => env.PROJECT_LIMITER.getByName(projectId);

/** What the ledger has of a project, once what waits was written. */
export async function ledgerOf(projectId: string): Promise<UsageRecord[]> {
  await runDurableObjectAlarm(limiterOf(projectId));
  return drizzle(env.DB)
    .select()
    .from(generations)
    .where(eq(generations.projectId, projectId))
    .orderBy(asc(generations.createdAt), asc(generations.id))
    .all();
}

let records = 0;

/** A record of a generation, with the fields given. */
export function usageRecord(fields: Partial<UsageRecord> = {}): UsageRecord {
  records += 1;
  return {
    id: `gen_test${String(records).padStart(8, "0")}`,
    projectId: "proj_usage",
    keyId: "key_usage",
    endUser: null,
    presetSlug: null,
    presetVersion: null,
    model: "steered",
    dialect: "openai",
    choices: 1,
    attributes: { verbosity: 1 },
    streamed: true,
    state: "completed",
    error: null,
    promptTokens: 10,
    completionTokens: 5,
    usageKnown: true,
    createdAt: Date.parse("2026-11-10T12:00:00Z") / 1000,
    firstByteMs: 20,
    durationMs: 300,
    requestId: "req_test",
    ...fields,
  };
}
