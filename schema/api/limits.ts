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
const subjectKindSchema = z.enum(["key", "project", "end_user"]);
export type SubjectKind = z.infer<typeof subjectKindSchema>;

/** How one limit stands. */
const limitStateSchema = z.object({
  limit: z.int().nullable().describe("`null`: not limited."),
  used: z.int().describe("Used and reserved: in the last 60 s, running now, or in this month."),
  remaining: z.int().nullable(),
  reset_ms: z
    .number()
    .nullable()
    .describe("Milliseconds until all of it is free again if nothing more is asked for; `null` where nobody can say."),
});
export type LimitState = z.infer<typeof limitStateSchema>;

/** What a limit says of a request. */
const limitVerdictSchema = limitStateSchema.extend({
  allowed: z.boolean(),
  retry_after_ms: z.number().nullable().describe("`null` where waiting cannot help, 0 where it fits now."),
});

const subjectStates = <State extends z.ZodType>(state: State) =>
  z.object({
    subject: subjectKindSchema,
    id: z
      .string()
      .nullable()
      .describe("Id of the key or project, or the end user as its page calls it; `null` for visitors without a name."),
    limits: z.record(z.enum(LIMIT_NAMES), state),
  });

/** The answer of `GET /v1/limits`. */
export const limitsAnswerSchema = z.object({
  object: z.literal("limits"),
  subjects: z.array(subjectStates(limitStateSchema)),
});
export type LimitsAnswer = z.infer<typeof limitsAnswerSchema>;

/** The body of `POST /v1/limits/check`, where it is not a chat request. */
export const tokensCheckSchema = z.strictObject({
  /** Prompt and answer together. */
  tokens: z.int().min(0).max(1_000_000_000_000),
});

/** The answer of `POST /v1/limits/check`. */
export const limitsCheckAnswerSchema = z.object({
  object: z.literal("limits.check"),
  allowed: z.boolean(),
  tokens: z.int().describe("What the request would reserve."),
  refused_by: z
    .object({ subject: subjectKindSchema, limit: z.enum(LIMIT_NAMES) })
    .nullable()
    .describe("The limit that refuses it."),
  retry_after_ms: z
    .number()
    .nullable()
    .describe("Milliseconds until it would be allowed if nothing else is asked for; `null` where waiting cannot help."),
  subjects: z.array(subjectStates(limitVerdictSchema)),
});
export type LimitsCheckAnswer = z.infer<typeof limitsCheckAnswerSchema>;
