import { drizzle } from "drizzle-orm/d1";
import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { auditQuerySchema, pageQuerySchema } from "../../schema/api/admin.ts";
import { projectCreateSchema, projectUpdateSchema } from "../../schema/api/projects.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { parse, parseBody } from "../body.ts";
import type { Edge } from "../environment.ts";
import { adminUsageRoutes } from "../usage/routes.ts";
import { listChanges } from "./audit.ts";
import { authorOf } from "./author.ts";
import { keyRoutes } from "./key-routes.ts";
import { createProject, findProject, listProjects, updateProject } from "./project-store.ts";

/** @throws AttuneError `permission_denied` where the administrator has one project only */
function permitAll(c: Context<Edge>): void {
  const { projectId } = c.var.administrator;
  if (projectId === null) return;
  throw new AttuneError(
    "permission_denied",
    `This key administers the project ${projectId} only. Use the server's ADMIN_TOKEN.`,
  );
}

/** The project that the path names must exist and be the administrator's; one is told no more of another's than of none. */
const requireProject = createMiddleware<Edge, "/:project">(async (c, next) => {
  const id = c.req.param("project");
  const { projectId } = c.var.administrator;
  const project = projectId === null || projectId === id ? await findProject(drizzle(c.env.DB), id) : null;
  if (project === null) throw new AttuneError("not_found", `There is no project ${id} that you administer.`);
  await next();
});

/** Projects, their keys, and the log of every change. */
export const adminRoutes = new Hono<Edge>()
  .post("/projects", async (c) => {
    permitAll(c);
    const settings = await parseBody(projectCreateSchema, c.req.raw);
    return c.json(await createProject(drizzle(c.env.DB), settings, authorOf(c)), 201);
  })
  .get("/projects", async (c) => {
    permitAll(c);
    return c.json(await listProjects(drizzle(c.env.DB), parse(pageQuerySchema, c.req.query())));
  })
  .use("/projects/:project/*", requireProject)
  .get("/projects/:project", async (c) => c.json(await findProject(drizzle(c.env.DB), c.req.param("project"))))
  .patch("/projects/:project", async (c) => {
    permitAll(c);
    const changes = await parseBody(projectUpdateSchema, c.req.raw);
    const updated = await updateProject(drizzle(c.env.DB), c.req.param("project"), changes, authorOf(c));
    if (updated !== null) return c.json(updated);
    throw new AttuneError(
      "conflict",
      "Somebody else changed the project meanwhile. Read it again, and repeat the change on what it is now.",
      { param: "version" },
    );
  })
  .get("/audit", async (c) => {
    const query = parse(auditQuerySchema, c.req.query());
    const project = query.project ?? c.var.administrator.projectId ?? undefined;
    if (project !== c.var.administrator.projectId) permitAll(c);
    return c.json(await listChanges(drizzle(c.env.DB), { ...query, project }));
  })
  .route("/projects", keyRoutes)
  .route("/projects", adminUsageRoutes);
