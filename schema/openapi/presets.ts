import { z } from "zod";
import { pageSchema } from "../api/admin.ts";
import { importQuerySchema, presetExportSchema, presetImportSchema } from "../api/preset-transfer.ts";
import {
  presetAliasSchema,
  presetContentSchema,
  presetCreateSchema,
  presetDiffQuerySchema,
  presetDiffSchema,
  presetDraftSchema,
  presetPublishSchema,
  presetRollbackSchema,
  presetSchema,
  presetUpdateSchema,
  presetUsageSchema,
  presetVersionSchema,
  versionsQuerySchema,
} from "../api/presets.ts";
import type { Answer, Operation } from "./operation.ts";
import { describeFields, listOf, named } from "./schemas.ts";

named("PresetRequest", presetCreateSchema);
named("PresetContent", presetContentSchema, "What is left out is reset.");
named("PresetUpdate", presetUpdateSchema, "The whole preset; what is left out is reset.");
named("PresetPublication", presetPublishSchema);
named("PresetRollback", presetRollbackSchema);
named("PresetAlias", presetAliasSchema);
named("Preset", presetSchema, "What its latest version says, or its draft where nothing was published yet.");
named("PresetDraft", presetDraftSchema);
named("PresetVersion", presetVersionSchema, "What was published, which never changes.");
named("PresetDiff", presetDiffSchema, "What `to` changes about `from`; `null` is the draft.");
named("PresetUsage", presetUsageSchema);
named("PresetImport", presetImportSchema);
describeFields(presetCreateSchema, {
  slug: "A letter a–z, then up to 62 of a–z, 0–9 and `-`.",
  persona: "Comes before the request's own system message; `{{name}}` stands for a variable.",
  variables: "What requests may set in the persona.",
  sampling: "Used where a request does not say.",
  note: "Why it was published.",
  publish: "Whether it can be used at once, as version 1, or is a draft at first.",
});
describeFields(presetDiffQuerySchema, { from: "A number, an alias, `latest` or `draft`.", to: "The same." });
describeFields(versionsQuerySchema, { limit: "How many.", after: "The last version of the page before." });
describeFields(importQuerySchema, { dry_run: "`true`: nothing is changed; the answer says what would be." });

const ifMatch = z
  .string()
  .optional()
  .meta({ description: "An ETag that was read: changed only where nobody else changed it." });
const conditional = z.object({ "if-match": ifMatch });
const ETAG = { etag: "What the next change can be made conditional on." };

const changed = (description: string): Answer => ({ description, json: presetSchema, headers: ETAG });
const draft = (description: string): Answer => ({ description, json: presetDraftSchema, headers: ETAG });

/** What any change may meet. */
const CHANGING = ["invalid_request", "preset_not_found", "conflict", "precondition_failed"] as const;

const TUTOR = {
  persona: "You are a patient tutor.",
  attributes: { complexity: 1 },
  bounds: { toxicity: { locked: 0 }, complexity: { max: 2 } },
};

const presetsOfProject: Operation[] = [
  {
    id: "createPreset",
    method: "post",
    path: "/v1/presets",
    room: "Presets",
    summary: "Create a preset",
    access: "presets:write",
    headers: z.object({
      "if-none-match": z.literal("*").optional().meta({ description: "Only where there is none of this slug." }),
    }),
    body: {
      schema: presetCreateSchema,
      examples: { tutor: { summary: "A tutor within bounds", value: { slug: "tutor", ...TUTOR } } },
    },
    answers: { 201: changed("The preset.") },
    errors: ["conflict", "precondition_failed"],
  },
  {
    id: "listPresets",
    method: "get",
    path: "/v1/presets",
    room: "Presets",
    summary: "List the presets that the key may use",
    access: "presets:read",
    answers: { 200: { description: "All of them.", json: listOf(presetSchema) } },
  },
  {
    id: "exportPresets",
    method: "get",
    path: "/v1/presets/export",
    room: "Presets",
    summary: "Export all presets",
    access: "presets:read",
    answers: { 200: { description: "What an import takes.", json: named("PresetExport", presetExportSchema) } },
  },
  {
    id: "importPresets",
    method: "post",
    path: "/v1/presets/import",
    room: "Presets",
    summary: "Import presets, all or none",
    access: "presets:write",
    query: importQuerySchema,
    body: {
      schema: presetExportSchema,
      examples: { tutor: { summary: "One preset", value: { presets: [{ slug: "tutor", published: TUTOR }] } } },
    },
    answers: { 200: { description: "What it did, or would do.", json: presetImportSchema } },
    errors: ["conflict"],
  },
];

const onePreset: Operation[] = [
  {
    id: "getPreset",
    method: "get",
    path: "/v1/presets/{slug}",
    room: "Presets",
    summary: "Read a preset",
    access: "presets:read",
    answers: { 200: changed("The preset.") },
    errors: ["preset_not_found"],
  },
  {
    id: "updatePreset",
    method: "put",
    path: "/v1/presets/{slug}",
    room: "Presets",
    summary: "Publish a new version",
    access: "presets:write",
    headers: z.object({
      "if-match": ifMatch,
      "if-none-match": z.literal("*").optional().meta({ description: "Creates the preset where there is none." }),
    }),
    body: {
      schema: presetUpdateSchema,
      examples: { tutor: { summary: "A stricter tutor", value: { ...TUTOR, persona: "You are a strict tutor." } } },
    },
    answers: { 200: changed("The preset as it is now."), 201: changed("The preset, which is new.") },
    errors: CHANGING,
  },
  {
    id: "deletePreset",
    method: "delete",
    path: "/v1/presets/{slug}",
    room: "Presets",
    summary: "Delete a preset",
    access: "presets:write",
    headers: conditional,
    answers: {
      200: {
        description: "It is gone.",
        json: z.object({ object: z.literal("preset"), slug: z.string(), deleted: z.literal(true) }),
      },
    },
    errors: CHANGING,
  },
  {
    id: "getPresetDraft",
    method: "get",
    path: "/v1/presets/{slug}/draft",
    room: "Presets",
    summary: "Read a preset's draft",
    access: "presets:read",
    answers: { 200: draft("The draft.") },
    errors: ["preset_not_found"],
  },
  {
    id: "updatePresetDraft",
    method: "put",
    path: "/v1/presets/{slug}/draft",
    room: "Presets",
    summary: "Write a preset's draft",
    access: "presets:write",
    headers: conditional,
    body: {
      schema: presetContentSchema,
      examples: { tutor: { summary: "A funnier tutor", value: { ...TUTOR, attributes: { humor: 3 } } } },
    },
    answers: { 200: draft("The draft as it is now.") },
    errors: CHANGING,
  },
  {
    id: "resetPresetDraft",
    method: "delete",
    path: "/v1/presets/{slug}/draft",
    room: "Presets",
    summary: "Make the draft what was published last",
    access: "presets:write",
    headers: conditional,
    answers: { 200: draft("The draft as it is now.") },
    errors: CHANGING,
  },
];

const versionsOfPreset: Operation[] = [
  {
    id: "publishPreset",
    method: "post",
    path: "/v1/presets/{slug}/versions",
    room: "Presets",
    summary: "Publish the draft",
    access: "presets:write",
    headers: conditional,
    body: {
      schema: presetPublishSchema,
      examples: { note: { summary: "Saying why", value: { note: "Funnier." } } },
      required: false,
    },
    answers: { 201: changed("The preset with its new version.") },
    errors: CHANGING,
  },
  {
    id: "listPresetVersions",
    method: "get",
    path: "/v1/presets/{slug}/versions",
    room: "Presets",
    summary: "List versions, latest first",
    access: "presets:read",
    query: versionsQuerySchema,
    answers: { 200: { description: "A page of them.", json: pageSchema(presetVersionSchema) } },
    errors: ["invalid_request", "preset_not_found"],
  },
  {
    id: "getPresetVersion",
    method: "get",
    path: "/v1/presets/{slug}/versions/{version}",
    room: "Presets",
    summary: "Read a version",
    access: "presets:read",
    answers: { 200: { description: "The version.", json: presetVersionSchema } },
    errors: ["invalid_request", "preset_not_found"],
  },
  {
    id: "diffPreset",
    method: "get",
    path: "/v1/presets/{slug}/diff",
    room: "Presets",
    summary: "Compare two versions",
    access: "presets:read",
    query: presetDiffQuerySchema,
    answers: { 200: { description: "What differs.", json: presetDiffSchema } },
    errors: ["invalid_request", "preset_not_found"],
  },
  {
    id: "getPresetUsage",
    method: "get",
    path: "/v1/presets/{slug}/usage",
    room: "Presets",
    summary: "Count how often each version was used",
    access: "presets:read",
    answers: { 200: { description: "Of the last thirty days.", json: presetUsageSchema } },
    errors: ["preset_not_found"],
  },
  {
    id: "rollBackPreset",
    method: "post",
    path: "/v1/presets/{slug}/rollback",
    room: "Presets",
    summary: "Publish an older version again",
    access: "presets:write",
    headers: conditional,
    body: {
      schema: presetRollbackSchema,
      examples: { first: { summary: "To the first", value: { version: 1 } } },
    },
    answers: { 201: changed("The preset with its new version.") },
    errors: CHANGING,
  },
  {
    id: "setPresetAlias",
    method: "put",
    path: "/v1/presets/{slug}/aliases/{alias}",
    room: "Presets",
    summary: "Name a version",
    access: "presets:write",
    headers: conditional,
    body: {
      schema: presetAliasSchema,
      examples: { first: { summary: "The first", value: { version: 1 } } },
    },
    answers: { 200: changed("The preset as it is now.") },
    errors: CHANGING,
  },
  {
    id: "deletePresetAlias",
    method: "delete",
    path: "/v1/presets/{slug}/aliases/{alias}",
    room: "Presets",
    summary: "Take a name from a version",
    access: "presets:write",
    headers: conditional,
    answers: { 200: changed("The preset as it is now.") },
    errors: ["not_found", ...CHANGING],
  },
];

export const presetOperations: Operation[] = [...presetsOfProject, ...onePreset, ...versionsOfPreset];
