import { z } from "zod";
import { ATTRIBUTE_MEANINGS, ATTRIBUTES, type Attribute, type Level, steeringProfileSchema } from "../attributes.ts";
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

/** One row of `GET /v1/attributes`. `defaults` maps each model id to the level used where nothing is asked for. */
export type AttributeDescription = {
  object: "attribute";
  name: Attribute;
  minimum: 0;
  maximum: 4;
  meaning: string;
  defaults: Record<string, Level | null>;
};

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
