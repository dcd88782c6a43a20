import { z } from "zod";

const SLUG_PATTERN = "[a-z][a-z0-9-]{0,62}";

export const slugSchema = z.string().regex(new RegExp(`^${SLUG_PATTERN}$`), {
  error: "must start with a letter a-z and hold at most 63 of a-z, 0-9 and -",
});

/** Of a preset that is created: `GET /v1/presets/export` is a route. */
export const newSlugSchema = slugSchema.refine((slug) => slug !== "export", {
  error: "must not be export, which is a route",
});

/** Names of versions that every preset has: the one published last, and the one being edited. */
const BUILT_IN = ["latest", "draft"];

/** A name given to a version. */
export const aliasSchema = slugSchema.refine((alias) => !BUILT_IN.includes(alias), {
  error: `must not be ${BUILT_IN.join(" or ")}, which every preset has`,
});

/** What follows `slug:`. */
const REFERENCE_PATTERN = `[1-9][0-9]{0,8}|${SLUG_PATTERN}`;

/** A version by its number, by an alias, or as `latest` or `draft`. */
export type PresetReference = number | string;

const toReference = (text: string): PresetReference => (/^\d/.test(text) ? Number(text) : text);

const REFERENCE_ERROR = "must be the number of a version, an alias, latest or draft";
/** In a path or a query. */
export const referenceSchema = z
  .string({ error: REFERENCE_ERROR })
  .regex(new RegExp(`^(?:${REFERENCE_PATTERN})$`), { error: REFERENCE_ERROR })
  .transform(toReference);

/** `slug` or `slug:reference`. */
export const PRESET_ADDRESS = new RegExp(`^(${SLUG_PATTERN})(?::(${REFERENCE_PATTERN}))?$`);

/** A preset as a request names it. */
export type PresetAddress = { slug: string; reference: PresetReference };

/** Reads `slug`, which means its latest version, or `slug:reference`; `null` where the text is neither. */
export function parsePresetAddress(text: string): PresetAddress | null {
  const match = PRESET_ADDRESS.exec(text);
  if (match === null) return null;
  const [, slug = "", reference = "latest"] = match;
  return { slug, reference: toReference(reference) };
}
