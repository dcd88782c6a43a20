import { type Context, Hono } from "hono";
import { generationsQuerySchema, usageQuerySchema } from "../../schema/api/usage.ts";
import { requireScope } from "../auth/authenticate.ts";
import { parse } from "../body.ts";
import type { Edge } from "../environment.ts";
import { listGenerations, sumUsage } from "./usage-store.ts";

/** @throws AttuneError `invalid_request` */
async function answerUsage(c: Context<Edge>, projectId: string): Promise<Response> {
  return c.json(await sumUsage(c.env.DB, projectId, parse(usageQuerySchema, c.req.query())));
}

/** @throws AttuneError `invalid_request` */
async function answerGenerations(c: Context<Edge>, projectId: string): Promise<Response> {
  return c.json(await listGenerations(c.env.DB, projectId, parse(generationsQuerySchema, c.req.query())));
}

/** What the caller's project used. */
export const usageRoutes = new Hono<Edge>()
  .use(requireScope("usage:read"))
  .get("/", (c) => answerUsage(c, c.var.principal.projectId))
  .get("/generations", (c) => answerGenerations(c, c.var.principal.projectId));

/** The same of the project that the path names, for its administrator. */
export const adminUsageRoutes = new Hono<Edge>()
  .get("/:project/usage", (c) => answerUsage(c, c.req.param("project")))
  .get("/:project/usage/generations", (c) => answerGenerations(c, c.req.param("project")));
