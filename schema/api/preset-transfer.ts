import { z } from "zod";
import { newSlugSchema } from "./preset-reference.ts";
import { presetChangeSchema, presetContentSchema } from "./presets.ts";

/** Most presets of one project: all of them are one list, and one export. */
export const MAX_PRESETS = 500;

/** A preset on its way from one project to another: what its latest version says, and its draft where that says something else. */
const transferredPresetSchema = z
  .strictObject({
    slug: newSlugSchema,
    published: presetContentSchema.nullable().default(null),
    draft: presetContentSchema.nullable().default(null),
  })
  .refine(({ published, draft }) => published !== null || draft !== null, {
    error: "must have published, draft or both",
  });
export type TransferredPreset = z.infer<typeof transferredPresetSchema>;

/** The answer of `GET /v1/presets/export`, and the body of `POST /v1/presets/import`. */
export const presetExportSchema = z
  .strictObject({
    object: z.literal("preset_export").default("preset_export"),
    format: z.literal(1, { error: "must be 1, the only format there is" }).default(1),
    presets: z.array(transferredPresetSchema).max(MAX_PRESETS),
  })
  .check(({ value, issues }) => {
    const seen = new Set<string>();
    for (const [index, { slug }] of value.presets.entries()) {
      if (seen.has(slug)) {
        issues.push({ code: "custom", path: ["presets", index, "slug"], input: slug, message: "is there twice" });
      }
      seen.add(slug);
    }
  });
export type PresetExport = z.infer<typeof presetExportSchema>;

/** Query of `POST /v1/presets/import`. */
export const importQuerySchema = z.object({
  dry_run: z
    .enum(["true", "false"], { error: "must be true or false" })
    .default("false")
    .transform((text) => text === "true"),
});

/** What an import does about one preset. */
const importedPresetSchema = z.object({
  slug: z.string(),
  action: z.enum(["create", "update", "unchanged"]),
  /** Of what is published, which then is a new version; of a preset that is created, against an empty one. */
  changes: z.array(presetChangeSchema),
  draft_changes: z.array(presetChangeSchema),
});
export type ImportedPreset = z.infer<typeof importedPresetSchema>;

/** The answer of `POST /v1/presets/import`: what it did, or what it would do. */
export const presetImportSchema = z.object({
  object: z.literal("preset_import"),
  dry_run: z.boolean(),
  presets: z.array(importedPresetSchema),
});
export type PresetImport = z.infer<typeof presetImportSchema>;
