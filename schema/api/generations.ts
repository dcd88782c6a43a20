import { z } from "zod";
import { effectiveSteeringSchema } from "../steering.ts";
import { errorBodySchema } from "../wire/errors.ts";
import { generateRequestSchema, generationStateSchema } from "../wire/generate.ts";
import { usageSchema } from "./chat.ts";

const DAY_SECONDS = 86_400;

/** How long an answer stays after its end, in seconds, by the reason it is kept for; with several, the longest holds. */
export const RETENTION = { resumable: 3_600, idempotent: DAY_SECONDS, stored: 30 * DAY_SECONDS } as const;

/** Most bytes that are kept of one answer. */
export const MAX_KEPT_BYTES = 67_108_864;

/** What is kept of a generation's answer. */
const keptSchema = z.object({
  /** Of the answer as it was sent: events, or a body. */
  bytes: z.int().nonnegative(),
  /** Events of a streamed answer; 0 of a whole one. */
  events: z.int().nonnegative(),
  /** Unix seconds; `null` while the generation runs. */
  until: z.int().nonnegative().nullable(),
});

/** The answer of `GET /v1/generations/{id}`: what became of a generation. */
export const generationSchema = z.object({
  object: z.literal("generation"),
  id: z.string(),
  state: generationStateSchema,
  model: z.string(),
  dialect: generateRequestSchema.shape.dialect,
  stream: z.boolean(),
  preset: effectiveSteeringSchema.shape.preset,
  /** How it was steered; `null` where each choice was steered by itself, or where nothing of the answer was kept. */
  steer: effectiveSteeringSchema.nullable(),
  /** So far, or in the end, by the worker's own count; `null` where nobody knows. */
  usage: usageSchema.nullable(),
  /** Unix seconds. */
  created_at: z.int(),
  finished_at: z.int().nullable(),
  /** What it failed with. */
  error: errorBodySchema.shape.error.nullable(),
  /** `null`: nothing is kept of the answer. */
  kept: keptSchema.nullable(),
  request_id: z.string(),
});
export type Generation = z.infer<typeof generationSchema>;
