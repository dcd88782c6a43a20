import type { generations } from "../../schema/database/tables.ts";
import { choicesOf, type GenerateRequest } from "../../schema/wire/generate.ts";

/** How a generation ended, and what it used. */
export type GenerationEnding = {
  state: UsageRecord["state"];
  /** Code of what it failed with; `null` where it did not. */
  error: string | null;
  /** `null`: nobody knows, what was reserved for it stands. */
  promptTokens: number | null;
  completionTokens: number | null;
  /** Unix milliseconds; `null` where nothing of the answer came. */
  firstByteAt: number | null;
};

/** What the ledger keeps of one generation: a row of it. */
export type UsageRecord = typeof generations.$inferSelect;

/** Tokens to charge for a generation; `null`: not known. */
export function tokensOf({ promptTokens, completionTokens }: GenerationEnding): number | null {
  return promptTokens === null || completionTokens === null ? null : promptTokens + completionTokens;
}

/** Who asked, for what, and when (Unix milliseconds). */
type Asked = {
  principal: { projectId: string; keyId: string; session: { endUser: string | null } | null };
  request: GenerateRequest;
  requestId: string;
  startedAt: number;
  endedAt: number;
};

export function recordOf(asked: Asked, ending: GenerationEnding): UsageRecord {
  const { principal, request, requestId, startedAt, endedAt } = asked;
  const { promptTokens, completionTokens, firstByteAt } = ending;
  return {
    id: request.generation,
    projectId: principal.projectId,
    keyId: principal.keyId,
    endUser: principal.session?.endUser ?? null,
    presetSlug: request.steering.preset?.slug ?? null,
    presetVersion: request.steering.preset?.version ?? null,
    model: request.model,
    dialect: request.dialect,
    choices: choicesOf(request).length,
    attributes: request.fan_out === undefined ? request.steering.effective : null,
    streamed: request.stream,
    state: ending.state,
    error: ending.error,
    promptTokens: promptTokens ?? 0,
    completionTokens: completionTokens ?? 0,
    usageKnown: tokensOf(ending) !== null,
    createdAt: Math.floor(startedAt / 1000),
    firstByteMs: firstByteAt === null ? null : Math.max(0, firstByteAt - startedAt),
    durationMs: Math.max(0, endedAt - startedAt),
    requestId,
  };
}
