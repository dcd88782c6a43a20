import { type Context, Hono } from "hono";
import {
  aliasPathSchema,
  type PresetDiff,
  presetAliasSchema,
  presetDiffQuerySchema,
  presetPublishSchema,
  presetRollbackSchema,
  versionPathSchema,
  versionsQuerySchema,
} from "../../schema/api/presets.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { requireScope } from "../auth/authenticate.ts";
import { parse, parseBody } from "../body.ts";
import type { Edge } from "../environment.ts";
import { readCondition } from "./condition.ts";
import { diffContent } from "./content.ts";
import { answerPreset, findPreset, permittedSlug, publicationOf, requireChanged, storeOf } from "./request.ts";
import type { StoredPreset } from "./rows.ts";
import { MAX_ALIASES } from "./store.ts";
import { usageOf } from "./usage.ts";
import { listVersions, presetNotFound, readVersion, resolvePreset } from "./versions.ts";

const mayRead = requireScope("presets:read");
const mayWrite = requireScope("presets:write");

const projectOf = (c: Context<Edge>) => c.var.principal.projectId;

const saysTheSame = ({ preset }: StoredPreset) =>
  new AttuneError(
    "conflict",
    `Version ${preset.version} of ${preset.slug}, its latest, says the same already. Nothing to publish.`,
  );

/** Versions of a preset: publish, list, read, compare, roll back, name. */
export const versionRoutes = new Hono<Edge>()
  .post("/:slug/versions", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const condition = readCondition(c);
    const { note } = c.req.raw.body === null ? { note: null } : await parseBody(presetPublishSchema, c.req.raw);
    const published = await storeOf(c).publishDraft(slug, condition, publicationOf(c, note));
    return answerPreset(c, await requireChanged(c, slug, condition, published, saysTheSame), 201);
  })
  .get("/:slug/versions", mayRead, async (c) => {
    const slug = permittedSlug(c);
    const page = await listVersions(c.env.DB, projectOf(c), slug, parse(versionsQuerySchema, c.req.query()));
    if (page === null) throw presetNotFound(slug, "slug");
    return c.json(page);
  })
  .get("/:slug/versions/:version", mayRead, async (c) => {
    const slug = permittedSlug(c);
    const { version: reference } = parse(versionPathSchema, c.req.param());
    return c.json(await readVersion(c.env.DB, projectOf(c), { slug, reference }));
  })
  .get("/:slug/diff", mayRead, async (c) => {
    const slug = permittedSlug(c);
    const query = parse(presetDiffQuerySchema, c.req.query());
    const [from, to] = await Promise.all([
      resolvePreset(c.env.DB, projectOf(c), { slug, reference: query.from }, "from"),
      resolvePreset(c.env.DB, projectOf(c), { slug, reference: query.to }, "to"),
    ]);
    const diff: PresetDiff = {
      object: "preset_diff",
      slug,
      from: from.version,
      to: to.version,
      changes: diffContent(from, to),
    };
    return c.json(diff);
  })
  .get("/:slug/usage", mayRead, async (c) => {
    const slug = permittedSlug(c);
    await findPreset(c, slug);
    return c.json(await usageOf(c.env.DB, projectOf(c), slug, Math.floor(Date.now() / 1000)));
  })
  .post("/:slug/rollback", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const condition = readCondition(c);
    const { version: reference, note } = await parseBody(presetRollbackSchema, c.req.raw);
    const { version } = await readVersion(c.env.DB, projectOf(c), { slug, reference });
    const publication = publicationOf(c, note ?? `Rollback to version ${version}.`);
    const published = await storeOf(c).republish(slug, condition, version, publication);
    return answerPreset(c, await requireChanged(c, slug, condition, published, saysTheSame), 201);
  })
  .put("/:slug/aliases/:alias", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const { alias } = parse(aliasPathSchema, c.req.param());
    const condition = readCondition(c);
    const { version } = await parseBody(presetAliasSchema, c.req.raw);
    const named = await storeOf(c).setAlias(slug, condition, alias, version);
    const explain = ({ preset }: StoredPreset) => {
      const isFull = !Object.hasOwn(preset.aliases, alias) && Object.keys(preset.aliases).length >= MAX_ALIASES;
      if (isFull) {
        const message = `The preset ${slug} has ${MAX_ALIASES} aliases, and may have no more. Delete one first.`;
        return new AttuneError("conflict", message);
      }
      const message = `version: the preset ${slug} has no version ${version}; its latest is ${preset.version ?? "not published yet"}.`;
      return new AttuneError("invalid_request", message, { param: "version" });
    };
    return answerPreset(c, await requireChanged(c, slug, condition, named, explain));
  })
  .delete("/:slug/aliases/:alias", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const { alias } = parse(aliasPathSchema, c.req.param());
    const condition = readCondition(c);
    const removed = await storeOf(c).deleteAlias(slug, condition, alias);
    const unknown = () => new AttuneError("not_found", `The preset ${slug} has no alias ${alias}.`, { param: "alias" });
    return answerPreset(c, await requireChanged(c, slug, condition, removed, unknown));
  });
