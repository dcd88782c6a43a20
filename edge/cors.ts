import { cors } from "hono/cors";
import { createMiddleware } from "hono/factory";
import type { Edge } from "./environment.ts";
import { EXPOSED_HEADERS } from "./limits/headers.ts";
import { OBSERVABILITY_HEADERS } from "./observability/response-headers.ts";

const exposeHeaders = [...EXPOSED_HEADERS, ...OBSERVABILITY_HEADERS];
const EXPOSED = exposeHeaders.join(",");

/** A preflight names no key. */
const answerPreflight = cors({ origin: "*", exposeHeaders, maxAge: 86_400 });

/**
 * Lets pages of any origin ask, and read the answer. Where a session's or a publishable key's page is known, `permitOrigin` lets that page
 * alone read it.
 */
export const allowPages = createMiddleware<Edge>(async (c, next) => {
  if (c.req.method === "OPTIONS") return answerPreflight(c, next);
  // Set before there is an answer: what `cors` does, to one that is there already, copies it and all its headers.
  c.header("access-control-allow-origin", "*");
  c.header("access-control-expose-headers", EXPOSED);
  await next();
});
