import { z } from "zod";

/** What can be limited: three that a request uses up, and how much may run at a time. */
export const LIMIT_NAMES = [
  "requests_per_minute",
  "tokens_per_minute",
  "concurrent_generations",
  "tokens_per_month",
] as const;
export type LimitName = (typeof LIMIT_NAMES)[number];

/** `null`: no limit. */
export type Limits = Record<LimitName, number | null>;

export const NO_LIMITS: Limits = {
  requests_per_minute: null,
  tokens_per_minute: null,
  concurrent_generations: null,
  tokens_per_month: null,
};

/** 0 tokens or generations: reading is allowed, generating is not. Whoever may not even ask is better revoked. */
export const limitSchemas = {
  requests_per_minute: z.int().min(1).max(1_000_000).nullable(),
  tokens_per_minute: z.int().min(0).max(1_000_000_000).nullable(),
  concurrent_generations: z.int().min(0).max(100_000).nullable(),
  tokens_per_month: z.int().min(0).max(1_000_000_000_000).nullable(),
};

/** Limits as a whole; what is left out is not limited. */
export const limitsSchema = z.strictObject({
  requests_per_minute: limitSchemas.requests_per_minute.default(null),
  tokens_per_minute: limitSchemas.tokens_per_minute.default(null),
  concurrent_generations: limitSchemas.concurrent_generations.default(null),
  tokens_per_month: limitSchemas.tokens_per_month.default(null),
});

/** Whose limits: each of them must allow a request. */
export type SubjectKind = "key" | "project" | "end_user";

/** How one limit stands. */
export type LimitState = {
  /** `null`: not limited. */
  limit: number | null;
  /** Used and reserved: in the last 60 s, running now, or in this month. */
  used: number;
  remaining: number | null;
  /** Milliseconds until all of it is free again if nothing more is asked for; `null` where nobody can say. */
  reset_ms: number | null;
};

/** What a limit says of a request. `retry_after_ms` is `null` where waiting cannot help, 0 where it fits now. */
type LimitVerdict = LimitState & { allowed: boolean; retry_after_ms: number | null };

type SubjectStates<State> = {
  subject: SubjectKind;
  /** Id of the key or project, or the end user as its page calls it; `null` for visitors without a name. */
  id: string | null;
  limits: Record<LimitName, State>;
};

/** The answer of `GET /v1/limits`. */
export type LimitsAnswer = { object: "limits"; subjects: SubjectStates<LimitState>[] };

/** The body of `POST /v1/limits/check`, where it is not a chat request. */
export const tokensCheckSchema = z.strictObject({
  /** Prompt and answer together. */
  tokens: z.int().min(0).max(1_000_000_000_000),
});

/** Which limit refuses a request. */
type RefusedBy = { subject: SubjectKind; limit: LimitName };

/** The answer of `POST /v1/limits/check`. */
export type LimitsCheckAnswer = {
  object: "limits.check";
  allowed: boolean;
  /** What the request would reserve. */
  tokens: number;
  refused_by: RefusedBy | null;
  /** Milliseconds until it would be allowed if nothing else is asked for; `null` where waiting cannot help. */
  retry_after_ms: number | null;
  subjects: SubjectStates<LimitVerdict>[];
};
