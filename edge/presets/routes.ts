import { type Context, Hono } from "hono";
import { etag, RETAINED_304_HEADERS } from "hono/etag";
import { newSlugSchema } from "../../schema/api/preset-reference.ts";
import { MAX_PRESETS } from "../../schema/api/preset-transfer.ts";
import {
  type PresetFields,
  presetContentSchema,
  presetCreateSchema,
  presetUpdateSchema,
} from "../../schema/api/presets.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { requireScope } from "../auth/authenticate.ts";
import { mayUsePreset, permitPreset } from "../auth/principal.ts";
import { parse, parseBody } from "../body.ts";
import type { Edge } from "../environment.ts";
import { EXPOSED_HEADERS } from "../limits/headers.ts";
import { mustBeNew, preconditionFailed, readCondition } from "./condition.ts";
import {
  answerDraft,
  answerPreset,
  findPreset,
  permittedSlug,
  publicationOf,
  requireChanged,
  storeOf,
} from "./request.ts";
import type { Publication } from "./store.ts";
import { transferRoutes } from "./transfer-routes.ts";
import { versionRoutes } from "./version-routes.ts";

const mayRead = requireScope("presets:read");
const mayWrite = requireScope("presets:write");

/** What says how limits stand, and lets a page read it, is in every answer. */
const KEPT_HEADERS = [
  ...RETAINED_304_HEADERS,
  ...EXPOSED_HEADERS,
  "access-control-allow-origin",
  "access-control-expose-headers",
];

type NewPreset = { slug: string; fields: PresetFields; publication: Publication | null };

/** @throws AttuneError `conflict`, or `precondition_failed` where the request says that it must be new */
async function create(c: Context<Edge>, { slug, fields, publication }: NewPreset): Promise<Response> {
  const onlyNew = mustBeNew(c);
  const created = await storeOf(c).create(slug, fields, publication);
  if (created !== null) return answerPreset(c, created, 201);
  if ((await storeOf(c).find(slug)) === null) {
    const message = `The project has ${MAX_PRESETS} presets, and may have no more. Delete one first.`;
    throw new AttuneError("conflict", message);
  }
  const message = `A preset ${slug} exists already. Update it with PUT /v1/presets/${slug}.`;
  throw onlyNew ? preconditionFailed(message) : new AttuneError("conflict", message, { param: "slug" });
}

/** Presets of the key's project, their drafts, versions and aliases. */
export const presetRoutes = new Hono<Edge>()
  .use(etag({ retainedHeaders: KEPT_HEADERS }))
  .route("/", transferRoutes)
  .post("/", mayWrite, async (c) => {
    const { slug, note, publish, ...fields } = await parseBody(presetCreateSchema, c.req.raw);
    permitPreset(c.var.principal, slug);
    return create(c, { slug, fields, publication: publish ? publicationOf(c, note) : null });
  })
  .get("/", mayRead, async (c) => {
    const all = (await storeOf(c).list()).map(({ preset }) => preset);
    return c.json({ object: "list", data: all.filter(({ slug }) => mayUsePreset(c.var.principal, slug)) });
  })
  .get("/:slug", mayRead, async (c) => answerPreset(c, await findPreset(c, permittedSlug(c))))
  .put("/:slug", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    if (mustBeNew(c)) {
      const { note, ...fields } = await parseBody(presetUpdateSchema, c.req.raw);
      return create(c, { slug: parse(newSlugSchema, slug), fields, publication: publicationOf(c, note) });
    }
    const condition = readCondition(c);
    const { note, ...fields } = await parseBody(presetUpdateSchema, c.req.raw);
    const published = await storeOf(c).publish(slug, condition, fields, publicationOf(c, note));
    return answerPreset(c, await requireChanged(c, slug, condition, published));
  })
  .delete("/:slug", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const condition = readCondition(c);
    const deleted = await storeOf(c).delete(slug, condition);
    await requireChanged(c, slug, condition, deleted ? true : null);
    return c.json({ object: "preset", slug, deleted: true });
  })
  .get("/:slug/draft", mayRead, async (c) => answerDraft(c, await findPreset(c, permittedSlug(c))))
  .put("/:slug/draft", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const condition = readCondition(c);
    const written = await storeOf(c).writeDraft(slug, condition, await parseBody(presetContentSchema, c.req.raw));
    return answerDraft(c, await requireChanged(c, slug, condition, written));
  })
  .delete("/:slug/draft", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const condition = readCondition(c);
    const reset = await storeOf(c).resetDraft(slug, condition);
    const unpublished = () =>
      new AttuneError("conflict", `The preset ${slug} has no published version that its draft could go back to.`);
    return answerDraft(c, await requireChanged(c, slug, condition, reset, unpublished));
  })
  .route("/", versionRoutes);
