import { z } from "zod";
import { ATTRIBUTES, attributeLevelsSchema, boundsSchema, clampLevel } from "../attributes.ts";

export const SLUG_PATTERN = "[a-z][a-z0-9-]{0,62}";

export const slugSchema = z.string().regex(new RegExp(`^${SLUG_PATTERN}$`), {
  error: "must start with a letter a-z and hold at most 63 of a-z, 0-9 and -",
});

/** Longest persona text, in UTF-16 code units. */
const MAX_PERSONA = 8000;

const presetFields = {
  persona: z.string().max(MAX_PERSONA).default(""),
  attributes: attributeLevelsSchema.default({}),
  bounds: boundsSchema.default({}),
};

/** Fails where a preset's own level lies outside its own bounds. */
function checkLevelsWithinBounds(
  context: z.core.ParsePayload<{
    attributes: z.infer<typeof attributeLevelsSchema>;
    bounds: z.infer<typeof boundsSchema>;
  }>,
) {
  const { attributes, bounds } = context.value;
  for (const attribute of ATTRIBUTES) {
    const level = attributes[attribute];
    const bound = bounds[attribute];
    if (level === undefined || bound === undefined || clampLevel(level, bound) === level) continue;
    context.issues.push({
      code: "custom",
      path: ["attributes", attribute],
      input: level,
      message: `level ${level} is outside this preset's own bounds for ${attribute}`,
    });
  }
}

/** The body of `POST /v1/presets`. */
export const presetCreateSchema = z.strictObject({ slug: slugSchema, ...presetFields }).check(checkLevelsWithinBounds);

/** The body of `PUT /v1/presets/{slug}`: the whole preset; what is left out is reset. */
export const presetUpdateSchema = z.strictObject(presetFields).check(checkLevelsWithinBounds);
export type PresetFields = z.infer<typeof presetUpdateSchema>;

/** A preset as every preset route answers it. */
export type Preset = PresetFields & {
  object: "preset";
  slug: string;
  /** Counts up by one with every update, from 1. */
  version: number;
  /** Unix seconds. */
  created_at: number;
  updated_at: number;
};
