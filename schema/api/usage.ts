import { z } from "zod";
import { attributeLevelsSchema } from "../attributes.ts";
import { generateRequestSchema } from "../wire/generate.ts";
import { usageSchema } from "./chat.ts";

/** How long the ledger keeps a generation, at least. */
export const USAGE_KEPT_DAYS = 400;
/** Most days that one question is about. */
const MOST_USAGE_DAYS = 92;

const DAY_MS = 86_400_000;

const daySchema = z.iso.date({ error: "must be a day such as 2026-11-24, in UTC" });
const count = z.coerce.number({ error: "must be a number from 1 to 100" }).int().min(1).max(100).default(50);

/** What usage is summed by. `preset` is the slug, whatever the version. */
export const usageGroupings = z.enum(["day", "key", "preset", "model", "end_user"]);
export type UsageGrouping = z.infer<typeof usageGroupings>;

/** The query of `GET /v1/usage`: whole days in UTC, both included. */
export const usageQuerySchema = z
  .object({
    from: daySchema,
    to: daySchema,
    /** Left out: one sum of all. */
    group_by: usageGroupings.optional(),
    limit: count,
    after: z.string().max(128).optional(),
  })
  .check(({ value, issues }) => {
    const days = (Date.parse(value.to) - Date.parse(value.from)) / DAY_MS + 1;
    if (days >= 1 && days <= MOST_USAGE_DAYS) return;
    const message =
      days < 1
        ? "must not be before from"
        : `must be at most ${MOST_USAGE_DAYS - 1} days after from; ask for the rest by itself`;
    issues.push({ code: "custom", path: ["to"], input: value.to, message });
  });
export type UsageQuery = z.infer<typeof usageQuerySchema>;

/** What one group of generations used. */
export const usageGroupSchema = z.object({
  object: z.literal("usage"),
  id: z
    .string()
    .describe(
      "The group: a day, a key's id, a preset's slug, a model or an end user; empty where there was none; `all` where nothing is grouped.",
    ),
  generations: z.object({
    completed: z.int().nonnegative(),
    cancelled: z.int().nonnegative(),
    failed: z.int().nonnegative(),
  }),
  usage: usageSchema,
  usage_unknown: z.int().nonnegative().describe("Generations of which nobody knows all that they used."),
});
export type UsageGroup = z.infer<typeof usageGroupSchema>;

/** The query of `GET /v1/usage/generations`, which goes back in time. */
export const generationsQuerySchema = z.object({ limit: count, after: z.string().max(128).optional() });
export type GenerationsQuery = z.infer<typeof generationsQuerySchema>;

/** One generation as the ledger has it. */
export const usageEntrySchema = z.object({
  object: z.literal("usage_entry"),
  id: z.string(),
  created_at: z.int().describe("When the request arrived, in Unix seconds."),
  key: z.string(),
  end_user: z.string().nullable(),
  model: z.string(),
  preset: z
    .object({ slug: z.string(), version: z.int().nullable() })
    .nullable()
    .describe("`version` is `null` for a preset's draft."),
  dialect: generateRequestSchema.shape.dialect,
  stream: z.boolean(),
  choices: z.int().positive(),
  attributes: attributeLevelsSchema.nullable().describe("`null` where each choice had its own."),
  state: z.enum(["completed", "cancelled", "failed"]),
  error: z.string().nullable(),
  usage: usageSchema,
  usage_known: z.boolean(),
  first_byte_ms: z.int().nullable(),
  duration_ms: z.int(),
  request_id: z.string(),
});
export type UsageEntry = z.infer<typeof usageEntrySchema>;
