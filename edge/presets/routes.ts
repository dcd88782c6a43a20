import { type Context, Hono } from "hono";
import { presetCreateSchema, presetUpdateSchema } from "../../schema/api/presets.ts";
import { AttuneError, invalidRequest } from "../../schema/wire/errors.ts";
import { requireScope } from "../auth/authenticate.ts";
import { mayUsePreset, permitPreset } from "../auth/principal.ts";
import { readJson } from "../body.ts";
import type { Edge } from "../environment.ts";
import { PresetStore, presetNotFound } from "./store.ts";

const storeOf = (c: Context<Edge>) => new PresetStore(c.env.DB, c.var.principal.projectId);

/** The preset that the path names, if the key may use it. */
function permittedSlug(c: Context<Edge, "/:slug">): string {
  const slug = c.req.param("slug");
  permitPreset(c.var.principal, slug);
  return slug;
}

const notFound = (slug: string) => presetNotFound(slug, "slug");
const mayRead = requireScope("presets:read");
const mayWrite = requireScope("presets:write");

/** Presets of the key's project: create, list, read, update, delete. */
export const presetRoutes = new Hono<Edge>()
  .post("/", mayWrite, async (c) => {
    const parsed = presetCreateSchema.safeParse(await readJson(c.req.raw));
    if (!parsed.success) throw invalidRequest(parsed.error);
    const { slug, ...fields } = parsed.data;
    permitPreset(c.var.principal, slug);
    const preset = await storeOf(c).create(slug, fields);
    if (preset !== null) return c.json(preset, 201);
    throw new AttuneError("conflict", `A preset ${slug} exists already. Update it with PUT /v1/presets/${slug}.`, {
      param: "slug",
    });
  })
  .get("/", mayRead, async (c) => {
    const all = await storeOf(c).list();
    return c.json({ object: "list", data: all.filter(({ slug }) => mayUsePreset(c.var.principal, slug)) });
  })
  .get("/:slug", mayRead, async (c) => {
    const slug = permittedSlug(c);
    const preset = await storeOf(c).find(slug);
    if (preset === null) throw notFound(slug);
    return c.json(preset);
  })
  .put("/:slug", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    const parsed = presetUpdateSchema.safeParse(await readJson(c.req.raw));
    if (!parsed.success) throw invalidRequest(parsed.error);
    const preset = await storeOf(c).update(slug, parsed.data);
    if (preset === null) throw notFound(slug);
    return c.json(preset);
  })
  .delete("/:slug", mayWrite, async (c) => {
    const slug = permittedSlug(c);
    if (!(await storeOf(c).delete(slug))) throw notFound(slug);
    return c.json({ object: "preset", slug, deleted: true });
  });
