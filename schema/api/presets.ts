import { z } from "zod";
import { ATTRIBUTES, attributeLevelsSchema, boundsSchema, clampLevel } from "../attributes.ts";
import { samplingSchema } from "./chat.ts";
import { personaSchema, undeclaredPlaceholder, variablesSchema } from "./persona.ts";
import { aliasSchema, newSlugSchema, referenceSchema } from "./preset-reference.ts";

/** Sampling that a request takes where it does not say; what is left out here is the model's. */
const presetSamplingSchema = z.strictObject({
  temperature: samplingSchema.shape.temperature.unwrap().optional(),
  top_p: samplingSchema.shape.top_p.unwrap().optional(),
  top_k: samplingSchema.shape.top_k.unwrap().optional(),
  min_p: samplingSchema.shape.min_p.unwrap().optional(),
  frequency_penalty: samplingSchema.shape.frequency_penalty.unwrap().optional(),
  presence_penalty: samplingSchema.shape.presence_penalty.unwrap().optional(),
  repetition_penalty: samplingSchema.shape.repetition_penalty.unwrap().optional(),
  seed: samplingSchema.shape.seed.unwrap().unwrap().optional(),
  stop: samplingSchema.shape.stop.unwrap().optional(),
  max_tokens: samplingSchema.shape.max_tokens.unwrap().unwrap().optional(),
});
export type PresetSampling = z.infer<typeof presetSamplingSchema>;

/** What a preset says, which is what its versions keep. */
const contentShape = {
  persona: personaSchema.default(""),
  attributes: attributeLevelsSchema.default({}),
  bounds: boundsSchema.default({}),
  variables: variablesSchema.default({}),
  sampling: presetSamplingSchema.default({}),
};
const contentSchema = z.object(contentShape);
export type PresetFields = z.output<typeof contentSchema>;

/** Fails where a preset's own level lies outside its own bounds, or its persona has a variable that it does not declare. */
function checkContent({ value, issues }: z.core.ParsePayload<PresetFields>): void {
  for (const attribute of ATTRIBUTES) {
    const level = value.attributes[attribute];
    const bound = value.bounds[attribute];
    if (level === undefined || bound === undefined || clampLevel(level, bound) === level) continue;
    const message = `level ${level} is outside this preset's own bounds for ${attribute}`;
    issues.push({ code: "custom", path: ["attributes", attribute], input: level, message });
  }
  const placeholder = undeclaredPlaceholder(value.persona, value.variables);
  if (placeholder === null) return;
  const message = `${placeholder} is no variable of this preset; declare it in variables`;
  issues.push({ code: "custom", path: ["persona"], input: value.persona, message });
}

/** Why a version was published. */
const noteSchema = z.string().trim().max(500).nullable().default(null);

/** The body of `POST /v1/presets`. */
export const presetCreateSchema = z
  .strictObject({
    slug: newSlugSchema,
    ...contentShape,
    note: noteSchema,
    /** Whether it can be used at once, as version 1, or is a draft at first. */
    publish: z.boolean().default(true),
  })
  .check(checkContent);

/** The body of `PUT /v1/presets/{slug}`: the whole preset; what is left out is reset. */
export const presetUpdateSchema = z.strictObject({ ...contentShape, note: noteSchema }).check(checkContent);

/** The body of `PUT /v1/presets/{slug}/draft`, and of each preset that is imported. */
export const presetContentSchema = z.strictObject(contentShape).check(checkContent);

/** The body of `POST /v1/presets/{slug}/versions`. */
export const presetPublishSchema = z.strictObject({ note: noteSchema });

/** An older version, by its number or an alias. */
const publishedSchema = z
  .union([z.int().positive(), referenceSchema], { error: "must be the number of a version, or an alias" })
  .refine((reference) => reference !== "draft", { error: "must be a version; a draft is none" });

/** The body of `POST /v1/presets/{slug}/rollback`. */
export const presetRollbackSchema = z.strictObject({ version: publishedSchema, note: noteSchema });

/** The body of `PUT /v1/presets/{slug}/aliases/{alias}`. */
export const presetAliasSchema = z.strictObject({ version: z.int().positive() });

/** The alias in a path. */
export const aliasPathSchema = z.object({ alias: aliasSchema });

/** The version in a path. */
export const versionPathSchema = z.object({ version: referenceSchema });

/** Query of `GET /v1/presets/{slug}/diff`. */
export const presetDiffQuerySchema = z.object({
  from: referenceSchema.default("latest"),
  to: referenceSchema.default("draft"),
});

const MAX_PAGE = 100;

/** Query of `GET /v1/presets/{slug}/versions`, which goes back from the latest. */
export const versionsQuerySchema = z.object({
  limit: z.coerce
    .number({ error: `must be a number from 1 to ${MAX_PAGE}` })
    .int()
    .min(1)
    .max(MAX_PAGE)
    .default(50),
  after: z.coerce.number({ error: "must be the number of a version" }).int().positive().optional(),
});

/** Unix seconds. */
const timeSchema = z.int();

/** A preset as every preset route answers it: what its latest version says, or its draft where nothing was published yet. */
export const presetSchema = contentSchema.extend({
  object: z.literal("preset"),
  slug: z.string(),
  /** Counts up by one with every version, from 1; `null`: nothing was published yet. */
  version: z.int().positive().nullable(),
  note: z.string().nullable(),
  /** Versions by the names that were given to them. */
  aliases: z.record(z.string(), z.int().positive()),
  /** Whether the draft says something else than the latest version. */
  unpublished_changes: z.boolean(),
  created_at: timeSchema,
  /** Of the last change of any kind. */
  updated_at: timeSchema,
});
export type Preset = z.infer<typeof presetSchema>;

/** What `PUT /v1/presets/{slug}/draft` edits. */
export const presetDraftSchema = contentSchema.extend({
  object: z.literal("preset_draft"),
  slug: z.string(),
  unpublished_changes: z.boolean(),
  updated_at: timeSchema,
});
export type PresetDraft = z.infer<typeof presetDraftSchema>;

/** What was published, which never changes. */
export const presetVersionSchema = contentSchema.extend({
  object: z.literal("preset_version"),
  slug: z.string(),
  version: z.int().positive(),
  note: z.string().nullable(),
  /** The id of the key that published it; `null` where nobody recorded it. */
  created_by: z.string().nullable(),
  created_at: timeSchema,
});
export type PresetVersion = z.infer<typeof presetVersionSchema>;

/** One field that two versions differ in; `null` where one lacks it. */
export const presetChangeSchema = z.object({ field: z.string(), from: z.unknown(), to: z.unknown() });
export type PresetChange = z.infer<typeof presetChangeSchema>;

/** What `to` changes about `from`, each by the number of its version; `null`: the draft. */
export const presetDiffSchema = z.object({
  object: z.literal("preset_diff"),
  slug: z.string(),
  from: z.int().positive().nullable(),
  to: z.int().positive().nullable(),
  changes: z.array(presetChangeSchema),
});
export type PresetDiff = z.infer<typeof presetDiffSchema>;

/** Days that a preset's usage is counted over, today included. */
export const PRESET_USAGE_DAYS = 30;

/** How often each version was used; those that were not used are left out. */
export const presetUsageSchema = z.object({
  object: z.literal("preset_usage"),
  slug: z.string(),
  days: z.int().positive(),
  versions: z.array(
    z.object({
      version: z.int().positive().nullable().describe("`null`: the draft."),
      generations: z.int().nonnegative(),
      generations_today: z.int().nonnegative().describe("Since midnight, UTC."),
      last_used_at: timeSchema.nullable(),
    }),
  ),
});
export type PresetUsage = z.infer<typeof presetUsageSchema>;
