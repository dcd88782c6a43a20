import { and, desc, eq, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { Page } from "../../schema/api/admin.ts";
import type { PresetAddress } from "../../schema/api/preset-reference.ts";
import type { PresetFields, PresetVersion } from "../../schema/api/presets.ts";
import { presets, presetVersions } from "../../schema/database/tables.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { toPage } from "../admin/page.ts";

/** A preset as one of its versions, or its draft (`null`), says. */
export type ResolvedPreset = PresetFields & { slug: string; version: number | null };

type Row = typeof presetVersions.$inferSelect;

const toVersion = ({ slug, version, content, note, createdBy, createdAt }: Row): PresetVersion => ({
  object: "preset_version",
  slug,
  version,
  ...content,
  note,
  created_by: createdBy,
  created_at: createdAt,
});

const notFound = (message: string, param: string) => new AttuneError("preset_not_found", message, { param });

/** @param param the field that named it */
export const presetNotFound = (slug: string, param: string) =>
  notFound(`There is no preset ${slug} in this project. GET /v1/presets lists them.`, param);

/** Why there is nothing at the address, for somebody who could not know. */
function explainMissing(
  { slug, reference }: PresetAddress,
  row: typeof presets.$inferSelect | undefined,
  param: string,
): AttuneError {
  if (row === undefined) return presetNotFound(slug, param);
  if (row.deletedAt !== null) {
    const when = new Date(row.deletedAt * 1000).toISOString();
    return notFound(
      `The preset ${slug} was deleted at ${when}, with all its versions. Name another one, or none. GET /v1/presets lists them.`,
      param,
    );
  }
  if (reference === "latest") {
    const publish = `POST /v1/presets/${slug}/versions publishes its draft`;
    return notFound(`The preset ${slug} has no published version yet; ${publish}.`, param);
  }
  if (typeof reference === "number") {
    return notFound(
      `The preset ${slug} has no version ${reference}. GET /v1/presets/${slug}/versions lists its versions.`,
      param,
    );
  }
  const aliases = Object.keys(row.aliases);
  const known = aliases.length === 0 ? "it has none" : `it has ${aliases.join(", ")}`;
  return notFound(
    `The preset ${slug} has no alias ${reference}; ${known}. PUT /v1/presets/${slug}/aliases/${reference} sets it.`,
    param,
  );
}

/** The preset with the version that is addressed: by one query, for a request waits for it. */
async function read(database: D1Database, projectId: string, address: PresetAddress, param: string) {
  const { slug, reference } = address;
  const wanted =
    typeof reference === "number"
      ? sql`${reference}`
      : reference === "latest"
        ? presets.version
        : sql`json_extract(${presets.aliases}, ${`$."${reference}"`})`;
  const found = await drizzle(database)
    .select({ row: presets, published: presetVersions })
    .from(presets)
    .leftJoin(
      presetVersions,
      and(
        eq(presetVersions.projectId, presets.projectId),
        eq(presetVersions.slug, presets.slug),
        eq(presetVersions.version, wanted),
      ),
    )
    .where(and(eq(presets.projectId, projectId), eq(presets.slug, slug)))
    .get();
  const isLive = found !== undefined && found.row.deletedAt === null;
  if (isLive && reference === "draft") return { slug, version: null, content: found.row.draft, published: null };
  if (!isLive || found.published === null) throw explainMissing(address, found?.row, param);
  const { published } = found;
  return { slug, version: published.version, content: published.content, published };
}

/**
 * What a request that names the preset uses.
 *
 * @param param the field that named it
 * @throws AttuneError `preset_not_found`, saying why
 */
export async function resolvePreset(
  database: D1Database,
  projectId: string,
  address: PresetAddress,
  param: string,
): Promise<ResolvedPreset> {
  const { slug, version, content } = await read(database, projectId, address, param);
  return { slug, version, ...content };
}

/**
 * One published version.
 *
 * @throws AttuneError `preset_not_found`; also for the draft, which is none
 */
export async function readVersion(
  database: D1Database,
  projectId: string,
  address: PresetAddress,
): Promise<PresetVersion> {
  const { published } = await read(database, projectId, address, "version");
  if (published !== null) return toVersion(published);
  const { slug } = address;
  throw notFound(`A draft is not a version. It is at GET /v1/presets/${slug}/draft.`, "version");
}

/** A page of a live preset's versions, the latest first; `null` where there is no such preset. */
export async function listVersions(
  database: D1Database,
  projectId: string,
  slug: string,
  { limit, after }: { limit: number; after?: number | undefined },
): Promise<Page<PresetVersion> | null> {
  const own = and(eq(presetVersions.projectId, projectId), eq(presetVersions.slug, slug));
  const session = drizzle(database);
  const [[preset], rows] = await session.batch([
    session
      .select({ deletedAt: presets.deletedAt })
      .from(presets)
      .where(and(eq(presets.projectId, projectId), eq(presets.slug, slug))),
    session
      .select()
      .from(presetVersions)
      .where(after === undefined ? own : and(own, lt(presetVersions.version, after)))
      .orderBy(desc(presetVersions.version))
      .limit(limit + 1),
  ]);
  if (preset === undefined || preset.deletedAt !== null) return null;
  return toPage(rows.map(toVersion), limit);
}
