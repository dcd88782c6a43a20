import type { Context } from "hono";
import { AttuneError } from "../../schema/wire/errors.ts";
import { permitPreset } from "../auth/principal.ts";
import type { Edge } from "../environment.ts";
import { type Condition, changedMeanwhile, etagOf } from "./condition.ts";
import type { StoredPreset } from "./rows.ts";
import { PresetStore, type Publication } from "./store.ts";
import { presetNotFound } from "./versions.ts";

export const storeOf = (c: Context<Edge>) => new PresetStore(c.env.DB, c.var.principal.projectId);

/** Who publishes, for the version's record. */
export const publicationOf = (c: Context<Edge>, note: string | null): Publication => ({
  note,
  by: c.var.principal.keyId,
});

/**
 * The preset that the path names, if the key may use it.
 *
 * @throws AttuneError `permission_denied`
 */
export function permittedSlug(c: Context<Edge, "/:slug">): string {
  const slug = c.req.param("slug");
  permitPreset(c.var.principal, slug);
  return slug;
}

/** A preset with the tag that its next change can be made conditional on. */
export function answerPreset(c: Context<Edge>, { preset, revision }: StoredPreset, status: 200 | 201 = 200): Response {
  c.header("etag", etagOf(revision));
  return c.json(preset, status);
}

/** The same for its draft. */
export function answerDraft(c: Context<Edge>, { draft, revision }: StoredPreset): Response {
  c.header("etag", etagOf(revision));
  return c.json(draft);
}

/**
 * @throws AttuneError `preset_not_found`
 */
export async function findPreset(c: Context<Edge>, slug: string): Promise<StoredPreset> {
  const stored = await storeOf(c).find(slug);
  if (stored === null) throw presetNotFound(slug, "slug");
  return stored;
}

/**
 * What a change has made of the preset.
 *
 * @param changed what the store answered
 * @param explain why the preset as it is does not take the change, its condition apart
 * @throws AttuneError `preset_not_found`, `precondition_failed`, or what `explain` says
 */
export async function requireChanged<T>(
  c: Context<Edge>,
  slug: string,
  { revisions }: Condition,
  changed: T | null,
  explain: (stored: StoredPreset) => AttuneError = busy,
): Promise<T> {
  if (changed !== null) return changed;
  const stored = await findPreset(c, slug);
  if (revisions !== null && !revisions.includes(stored.revision)) throw changedMeanwhile(slug, stored.revision);
  throw explain(stored);
}

/** Created again between the change and the look at why it was not made. */
const busy = ({ preset }: StoredPreset) =>
  new AttuneError(
    "conflict",
    `Somebody else is changing the preset ${preset.slug}. Read it again and repeat your change.`,
  );
