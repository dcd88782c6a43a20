import { type Context, Hono } from "hono";
import { presetCreateSchema, presetUpdateSchema } from "../../schema/api/presets.ts";
import { AttuneError, invalidRequest } from "../../schema/wire/errors.ts";
import { readJson } from "../body.ts";
import type { Edge } from "../environment.ts";
import { PresetStore } from "./store.ts";

const storeOf = (c: Context<Edge>) => new PresetStore(c.env.DB, c.var.apiKey.projectId);

const notFound = (slug: string) =>
  new AttuneError("preset_not_found", `There is no preset ${slug} in this project. GET /v1/presets lists them.`, {
    param: "slug",
  });

/** Presets of the key's project: create, list, read, update, delete. */
export const presetRoutes = new Hono<Edge>()
  .post("/", async (c) => {
    const parsed = presetCreateSchema.safeParse(await readJson(c.req.raw));
    if (!parsed.success) throw invalidRequest(parsed.error);
    const { slug, ...fields } = parsed.data;
    const preset = await storeOf(c).create(slug, fields);
    if (preset !== null) return c.json(preset, 201);
    throw new AttuneError("conflict", `A preset ${slug} exists already. Update it with PUT /v1/presets/${slug}.`, {
      param: "slug",
    });
  })
  .get("/", async (c) => c.json({ object: "list", data: await storeOf(c).list() }))
  .get("/:slug", async (c) => {
    const slug = c.req.param("slug");
    const preset = await storeOf(c).find(slug);
    if (preset === null) throw notFound(slug);
    return c.json(preset);
  })
  .put("/:slug", async (c) => {
    const slug = c.req.param("slug");
    const parsed = presetUpdateSchema.safeParse(await readJson(c.req.raw));
    if (!parsed.success) throw invalidRequest(parsed.error);
    const preset = await storeOf(c).update(slug, parsed.data);
    if (preset === null) throw notFound(slug);
    return c.json(preset);
  })
  .delete("/:slug", async (c) => {
    const slug = c.req.param("slug");
    if (!(await storeOf(c).delete(slug))) throw notFound(slug);
    return c.json({ object: "preset", slug, deleted: true });
  });
