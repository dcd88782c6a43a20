import { z } from "zod";
import { ATTRIBUTE_MEANINGS, ATTRIBUTES, attributeSchema, levelSchema, steeringProfileSchema } from "../attributes.ts";
import { calibrationSchema } from "../calibration.ts";
import { samplingDefaultsSchema } from "./chat.ts";

/** A model as the worker describes it. Without a profile it was not trained on attributes and is steered in words. */
const servedModelSchema = z.object({
  id: z.string(),
  /** Unix seconds. */
  created: z.int(),
  /** Tokens. */
  context_length: z.int().positive(),
  profile: steeringProfileSchema.nullable(),
  /** What its answers were measured to be for what was asked for; `null` where nobody measured it. */
  calibration: calibrationSchema.nullable().default(null),
  sampling: samplingDefaultsSchema,
});
export type ServedModel = z.infer<typeof servedModelSchema>;

export const servedModelsSchema = z.object({ data: z.array(servedModelSchema) });

/** A model as `GET /v1/models` answers it. */
export const modelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int().describe("Unix seconds."),
  owned_by: z.literal("attune"),
  context_length: z.int().describe("Tokens."),
  steering: steeringProfileSchema.nullable().describe("The steering profile; `null`: not trained on attributes."),
  calibrated: z.boolean().describe("Whether `steer.calibrated` has something to go by."),
  sampling: samplingDefaultsSchema.describe("What is used where a request does not say."),
});

export type Model = z.infer<typeof modelSchema>;

/** One row of `GET /v1/attributes`. */
export const attributeDescriptionSchema = z.object({
  object: z.literal("attribute"),
  name: attributeSchema,
  minimum: z.literal(0),
  maximum: z.literal(4),
  meaning: z.string(),
  defaults: z
    .record(z.string(), levelSchema.nullable())
    .describe("For each model id the level used where nothing is asked for."),
});
export type AttributeDescription = z.infer<typeof attributeDescriptionSchema>;

export function describeAttributes(models: ServedModel[]): AttributeDescription[] {
  return ATTRIBUTES.map((name) => ({
    object: "attribute",
    name,
    minimum: 0,
    maximum: 4,
    meaning: ATTRIBUTE_MEANINGS[name],
    defaults: Object.fromEntries(
      models.map((model) => [
        model.id,
        model.profile?.attributes.find((entry) => entry.name === name)?.default ?? null,
      ]),
    ),
  }));
}
