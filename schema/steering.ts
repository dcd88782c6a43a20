import { z } from "zod";
import { attributeLevelsSchema, attributeSchema, levelSchema, strengthSchema } from "./attributes.ts";
import type { AttributeCalibration } from "./calibration.ts";

/** How the levels reach the model: as the trained label line, as an instruction in words, or not at all. */
const steeringMethodSchema = z.enum(["label_line", "words", "none"]);

/** Whose bound decided, the preset's or the key's, and which end of it. */
const clampReasonSchema = z.enum(["preset_min", "preset_max", "preset_locked", "key_min", "key_max", "key_locked"]);

/** A level that request or preset asked for and that was not given, and the bound that decided. */
const clampSchema = z.strictObject({
  attribute: attributeSchema,
  requested: levelSchema.nullable(),
  applied: levelSchema,
  reason: clampReasonSchema,
});
export type Clamp = z.infer<typeof clampSchema>;

/**
 * A level that was wished and the level asked for instead, so that answers are measured to be as wished: by the calibration `expected`, in
 * its unit.
 */
const calibratedLevelSchema = z.strictObject({
  wished: levelSchema,
  asked: levelSchema,
  expected: z.number(),
  unit: z.enum(["words", "grade", "level"] satisfies AttributeCalibration["unit"][]),
});

/**
 * Effective steering: what was really applied after request ∩ preset ∩ key bounds, echoed as `steer` in every answer.
 * `effective` holds exactly the levels that reached the model.
 */
export const effectiveSteeringSchema = z.strictObject({
  effective: attributeLevelsSchema,
  method: steeringMethodSchema,
  /** How strongly, and away from which levels (none: from the unsteered model). Left out where strength is 1. */
  guidance: z.strictObject({ strength: strengthSchema, against: attributeLevelsSchema }).optional(),
  /** With `steer.calibrated`, the attributes that are calibrated; left out without it. */
  calibration: z.partialRecord(attributeSchema, calibratedLevelSchema).optional(),
  /** The preset that was used, and its version; `null`: its draft. */
  preset: z.strictObject({ slug: z.string(), version: z.int().positive().nullable() }).nullable(),
  clamped: z.array(clampSchema),
  /** Asked for, but the model was not trained on them, so they did not reach it. */
  not_trained: z.array(attributeSchema),
  /** In words, what a caller should know about how this answer was steered. */
  note: z.string().nullable(),
});
export type EffectiveSteering = z.infer<typeof effectiveSteeringSchema>;
