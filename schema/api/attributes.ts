import { z } from "zod";
import { attributeSchema, levelSchema, requestedLevelsSchema, strengthSchema } from "../attributes.ts";
import { type AttributeCalibration, measuredMeanSchema } from "../calibration.ts";
import { contentSchema, messageSchema } from "./chat.ts";

/** What was read off a finished answer about one attribute. */
const measuredAttributeSchema = z.strictObject({
  /** In `unit`; predicted levels are fractions within 0–4. */
  value: z.number(),
  level: levelSchema,
  /** Counted by a rule, or predicted by an attribute prediction model. */
  method: z.enum(["rule", "apm"]),
  unit: z.enum(["words", "grade", "level"] satisfies AttributeCalibration["unit"][]),
});
export type MeasuredAttribute = z.infer<typeof measuredAttributeSchema>;

/** Measured attributes of one answer: verbosity always, complexity of what has words, all others where a model predicts them. */
export const measuredAttributesSchema = z.partialRecord(attributeSchema, measuredAttributeSchema);
export type MeasuredAttributes = z.infer<typeof measuredAttributesSchema>;

/** What rules count in a text; a text without words has no grades. */
export const textStatisticsSchema = z.strictObject({
  words: z.int().nonnegative(),
  sentences: z.int().nonnegative(),
  /** American school grades. */
  coleman_liau: z.number().nullable(),
  flesch_kincaid: z.number().nullable(),
});
export type TextStatistics = z.infer<typeof textStatisticsSchema>;

/** Most answers that are read at once. */
export const MAX_SCORED = 16;
/** Longest answer that is read, in UTF-16 units: far beyond what a model writes. */
const MAX_ANSWER = 65_536;

export const answerSchema = contentSchema.refine((text) => text.trim() !== "" && text.length <= MAX_ANSWER, {
  error: `must be a text of 1 to ${MAX_ANSWER} characters`,
});
export const conversationSchema = z.array(messageSchema).max(1024);

/** The body of `POST /v1/attributes/score`. */
export const scoreBodySchema = z
  .strictObject({
    /** What was answered, the oldest first; without it the answers answer nothing. */
    messages: conversationSchema.optional(),
    answer: answerSchema.optional(),
    answers: z
      .array(answerSchema)
      .min(1, { error: `must hold 1 to ${MAX_SCORED} answers` })
      .max(MAX_SCORED, { error: `must hold 1 to ${MAX_SCORED} answers` })
      .optional(),
    /** Whose profile says what levels mean; the server's main model where it is left out. */
    model: z.string().min(1).max(256).optional(),
  })
  .refine(({ answer, answers }) => (answer === undefined) !== (answers === undefined), {
    path: ["answer"],
    error: "give either answer or answers",
  });

/** The answer to it. */
export const scoreListSchema = z.object({
  object: z.literal("list"),
  model: z.string(),
  data: z.array(
    z.object({
      object: z.literal("attribute_scores"),
      index: z.int(),
      attributes: measuredAttributesSchema,
      statistics: textStatisticsSchema,
    }),
  ),
});
export type ScoreList = z.infer<typeof scoreListSchema>;

/** The body of `POST /v1/attributes/match`. */
export const matchBodySchema = z.strictObject({
  /** An answer as it should be. */
  example: answerSchema,
  /** What it answers. */
  prompt: contentSchema.optional(),
  model: z.string().min(1).max(256).optional(),
});

/** One attribute of the example, and what to ask for. */
export const matchedAttributeSchema = z.object({
  measured: measuredAttributeSchema,
  ask: levelSchema.nullable().describe("`null` where it is no use to ask."),
  expected: z
    .number()
    .nullable()
    .describe(
      "What answers to that are measured to be, in the unit of `measured`; `null` where it was never measured.",
    ),
  rho: measuredMeanSchema
    .nullable()
    .describe(
      "How well answers follow the level: Spearman's ρ within prompts with its 95 % interval, 1 being exactly; `null` where it was never measured.",
    ),
  note: z.string().nullable().describe("In words, what to know about it, or `null`."),
});
export type MatchedAttribute = z.infer<typeof matchedAttributeSchema>;

/** The answer to it. `steer` can stand in a chat request as it is. */
export const attributeMatchSchema = z.object({
  object: z.literal("attribute_match"),
  model: z.string(),
  calibrated: z
    .boolean()
    .describe("Whether `steer` comes from the model's calibration; else it is the measured levels."),
  steer: z.object({ attributes: requestedLevelsSchema, strength: strengthSchema.optional() }),
  attributes: z.partialRecord(attributeSchema, matchedAttributeSchema),
  statistics: textStatisticsSchema,
});
export type AttributeMatch = z.infer<typeof attributeMatchSchema>;
