import { z } from "zod";
import { attributeLevelsSchema, attributeSchema, levelSchema, strengthSchema } from "../../../schema/attributes.ts";
import { estimateSchema } from "./estimate.ts";
import { evaluationSchema } from "./evaluation.ts";
import { MEASURES } from "./measures.ts";
import { systemSchema } from "./steered-answer.ts";

const measureSchema = z.enum(MEASURES);
const optionalEstimate = estimateSchema.nullable();

/** How one measure went with the level that was asked for. */
const responseSchema = z.strictObject({
  /** Spearman's ρ of level and value within a prompt; 0 where the value never changed. */
  rho: optionalEstimate,
  /** The same over all answers at once. */
  pooled_rho: z.number().nullable(),
  /** Share of neighbouring levels between which the value rose. */
  rising_pairs: optionalEstimate,
  /** Share of prompts in which it rose from each level to the next. */
  rising_throughout: optionalEstimate,
  /** Of the value, for each level more. */
  slope: optionalEstimate,
  /** Value at level 4 less that at level 0. */
  range: optionalEstimate,
  /** At levels 0 to 4. */
  levels: z.array(z.strictObject({ mean: optionalEstimate, median: z.number().nullable() })),
});
export type Response = z.infer<typeof responseSchema>;

/** How far measured levels were from those asked for. */
const accuracySchema = z.strictObject({
  measure: measureSchema,
  /** Measured levels for each level asked for; 1 would be exact. */
  slope: optionalEstimate,
  mean_absolute_error: optionalEstimate,
  /** Share of answers at most one level off. */
  within_one: optionalEstimate,
});

const sweepReportSchema = z.strictObject({
  system: systemSchema,
  strength: strengthSchema,
  attribute: attributeSchema,
  held: attributeLevelsSchema,
  /** Which measure decides whether it obeyed; `null` where none can. */
  deciding: measureSchema.nullable(),
  measures: z.partialRecord(measureSchema, responseSchema),
  accuracy: accuracySchema.nullable(),
  /** At levels 0 to 4, what the answers have more of than the plain model's own to the same prompts. */
  against_base: z.array(z.partialRecord(measureSchema, estimateSchema)),
});
export type SweepReport = z.infer<typeof sweepReportSchema>;

/** Slopes of what is measured, in levels, on what is asked for. */
const leakageSchema = z.strictObject({
  system: systemSchema,
  strength: strengthSchema,
  /** What is asked for. */
  rows: z.array(attributeSchema),
  /** What is measured. */
  columns: z.array(attributeSchema),
  slope: z.array(z.array(z.number().nullable())),
  rho: z.array(z.array(z.number().nullable())),
  /** Of each row, whether what was asked for moved most. */
  diagonal_largest: z.array(z.boolean()),
});
export type Leakage = z.infer<typeof leakageSchema>;

const combinationSchema = z.strictObject({
  strength: strengthSchema,
  levels: attributeLevelsSchema,
  attributes: z.array(
    z.strictObject({
      attribute: attributeSchema,
      asked: levelSchema,
      /** Of the deciding measure. */
      measured: optionalEstimate,
      /** The same where the level was asked for in the attribute's own sweep. */
      alone: optionalEstimate,
      within_one: optionalEstimate,
    }),
  ),
});
export type CombinationReport = z.infer<typeof combinationSchema>;

/** `report.json`. */
export const reportSchema = z.strictObject({
  version: z.literal(1),
  evaluation: evaluationSchema.omit({ prompts: true }),
  /** Prompts, answers that are there, and answers that were asked for. */
  prompts: z.int(),
  answers: z.int(),
  asked: z.int(),
  /** Share of answers that were cut at the longest. */
  cut: z.number(),
  /** What decides on quality; `null` where no attribute prediction model was asked. */
  quality_measure: measureSchema.nullable(),
  base: z.partialRecord(measureSchema, estimateSchema),
  sweeps: z.array(sweepReportSchema),
  leakage: z.array(leakageSchema),
  combinations: z.array(combinationSchema),
});
export type Report = z.infer<typeof reportSchema>;
