import type { Context } from "hono";
import type { Edge } from "../environment.ts";
import type { Author } from "./audit.ts";

/** Who is to be named in the audit log for what this request changes. */
export const authorOf = (c: Context<Edge>): Author => ({
  actor: c.var.administrator.actor,
  requestId: c.var.requestId,
});
