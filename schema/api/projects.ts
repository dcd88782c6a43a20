import { z } from "zod";
import { limitSchemas } from "./limits.ts";

const nameSchema = z.string().trim().min(1, { error: "must not be empty" }).max(100);

/** The body of `POST /admin/v1/projects`. What is not limited here is limited by the project's keys alone. */
export const projectCreateSchema = z.strictObject({
  name: nameSchema,
  requests_per_minute: limitSchemas.requests_per_minute.default(null),
  tokens_per_minute: limitSchemas.tokens_per_minute.default(null),
  concurrent_generations: limitSchemas.concurrent_generations.default(null),
  tokens_per_month: limitSchemas.tokens_per_month.default(null),
});
export type ProjectCreate = z.infer<typeof projectCreateSchema>;

/** The body of `PATCH /admin/v1/projects/{project}`: what is left out stays, `version` is the one that was read. */
export const projectUpdateSchema = z.strictObject({
  version: z.int().positive(),
  name: nameSchema.optional(),
  requests_per_minute: limitSchemas.requests_per_minute.optional(),
  tokens_per_minute: limitSchemas.tokens_per_minute.optional(),
  concurrent_generations: limitSchemas.concurrent_generations.optional(),
  tokens_per_month: limitSchemas.tokens_per_month.optional(),
});
export type ProjectUpdate = z.infer<typeof projectUpdateSchema>;

/** A project as every admin route answers it: what keys, presets and limits belong to. */
export const projectSchema = z.object({
  object: z.literal("project"),
  id: z.string(),
  name: z.string(),
  ...limitSchemas,
  version: z.int().describe("Counts up by one with every change, from 1."),
  created_at: z.int().describe("Unix seconds."),
});
export type Project = z.infer<typeof projectSchema>;
