import { z } from "zod";
import {
  attributeLevelsSchema,
  attributeSchema,
  measuredScaleSchema,
  steeringProfileSchema,
  strengthSchema,
} from "../../../schema/attributes.ts";
import { calibratedContrastSchema } from "../../../schema/calibration.ts";

/** What an answer depends on beside its question: two runs that differ in it cannot share a directory. */
const answeringSchema = z.strictObject({
  model: z.string(),
  adapter: z.string(),
  control: z.string().nullable(),
  temperature: z.number(),
  min_p: z.number(),
  max_tokens: z.int(),
  seed: z.int(),
});
export type Answering = z.infer<typeof answeringSchema>;

/** Who says something of finished answers: the two attribute prediction models, and the plain model, to which they are more or less likely. */
export const SCORERS = ["apm", "judge", "perplexity"] as const;
export const scorerSchema = z.enum(SCORERS);
export type Scorer = z.infer<typeof scorerSchema>;

const promptSchema = z.strictObject({ id: z.string(), text: z.string() });
export type EvaluationPrompt = z.infer<typeof promptSchema>;

/** `evaluation.json`: what is asked and how. */
export const evaluationSchema = z.strictObject({
  version: z.literal(1),
  answering: answeringSchema,
  profile: steeringProfileSchema,
  scale: measuredScaleSchema,
  attributes: z.array(attributeSchema).min(1),
  /** Levels that stand beside an attribute in all its label lines. */
  held: z.partialRecord(attributeSchema, attributeLevelsSchema),
  strengths: z.array(strengthSchema).min(1),
  /** What strength steers away from: as profiles have it, or the held levels alone. */
  against: calibratedContrastSchema,
  baseline: z.enum(["words", "none"]),
  combinations: z.array(attributeLevelsSchema),
  samples: z.int().positive(),
  /** What each scorer is, by its content. */
  scorers: z.partialRecord(scorerSchema, z.string()),
  prompts: z.array(promptSchema).min(1),
});
export type Evaluation = z.infer<typeof evaluationSchema>;

/**
 * What differs, empty where nothing does. The same answers may be asked for in other numbers; only what changes an answer itself has to
 * stay. A control may join, for nobody answered as one before.
 */
export function differences(before: Answering, now: Answering): string[] {
  return answeringSchema
    .keyof()
    .options.filter((key) => before[key] !== now[key] && !(key === "control" && before.control === null))
    .map((key) => `${key} (${before[key] ?? "none"} there, ${now[key] ?? "none"} now)`);
}
