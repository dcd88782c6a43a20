import { z } from "zod";
import { attributeLevelsSchema, attributeSchema, edgesSchema, levelSchema, strengthSchema } from "./attributes.ts";

/** A mean over prompts with its 95 % bootstrap interval by prompt; no interval where there was one prompt. */
export const measuredMeanSchema = z.strictObject({
  value: z.number(),
  low: z.number().nullable(),
  high: z.number().nullable(),
  /** Prompts. */
  n: z.int().positive(),
});

/** What answers were measured to be at each level that was asked for, at one strength. */
const calibrationCurveSchema = z.strictObject({
  strength: strengthSchema,
  /** Spearman's ρ of the level asked for and the measured value, mean within prompts. */
  rho: measuredMeanSchema,
  /** In rising order of the level; a level that was not measured is left out. */
  points: z.array(z.strictObject({ level: levelSchema, measured: measuredMeanSchema })).min(2),
});
export type CalibrationCurve = z.infer<typeof calibrationCurveSchema>;

export const attributeCalibrationSchema = z.strictObject({
  /** Whether answers follow the level at the default strength: ρ of 0.3 or more, with an interval above 0. */
  steerable: z.boolean(),
  /** What values are counted in: words, school grades, or levels as an attribute prediction model reads them. */
  unit: z.enum(["words", "grade", "level"]),
  /** What measured them. */
  measured_by: z.string(),
  /** Highest value of levels 0, 1, 2 and 3, in words or grades; left out where values are levels. */
  edges: edgesSchema.optional(),
  /** Levels that stood beside it in the label line. */
  held: attributeLevelsSchema,
  /** By rising strength. */
  curves: z.array(calibrationCurveSchema).min(1),
});
export type AttributeCalibration = z.infer<typeof attributeCalibrationSchema>;

/** What strength steered away from: the model without a label line, the levels beside the swept one, or the label line with its opposite. */
export const calibratedContrastSchema = z.enum(["unsteered", "held", "opposite"]);

/**
 * `calibration.json` of an adapter, and the answer to `GET /v1/models/{id}/calibration`: what its answers were measured to be for what was asked
 * for.
 */
export const calibrationSchema = z.strictObject({
  version: z.literal(1),
  /** SHA-256 of the weights, and of the adapter with its profile without the default strength: to no others does it apply. */
  model: z.string(),
  adapter: z.string(),
  /** Strength for requests that name none. */
  default_strength: strengthSchema,
  /** How that was chosen, and how it was measured, in words. */
  rule: z.string(),
  method: z.strictObject({
    prompts: z.int().positive(),
    samples: z.int().positive(),
    temperature: z.number(),
    min_p: z.number(),
    max_tokens: z.int().positive(),
    against: calibratedContrastSchema,
  }),
  attributes: z.partialRecord(attributeSchema, attributeCalibrationSchema),
  /** By strength: measured levels of the column's attribute for each level more of the row's; `null` where nothing measures it. */
  leakage: z.array(
    z.strictObject({
      strength: strengthSchema,
      rows: z.array(attributeSchema),
      columns: z.array(attributeSchema),
      slope: z.array(z.array(z.number().nullable())),
    }),
  ),
});
export type Calibration = z.infer<typeof calibrationSchema>;
