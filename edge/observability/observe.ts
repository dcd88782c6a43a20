import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import type { Edge } from "../environment.ts";
import { exportSpans } from "./export-spans.ts";
import { Observation } from "./observation.ts";
import { spansOf } from "./otlp.ts";
import { type Answered, formatRequestLine, wentWell } from "./request-line.ts";
import { observabilityHeaders } from "./response-headers.ts";

/** The pattern of the route that answered; steps before it have no method of their own. */
const routeOf = (c: Context<Edge>) => matchedRoutes(c).findLast(({ method }) => method !== "ALL")?.path ?? null;

/** Tells the log, and the collector where there is one, once the request is over. */
async function report(c: Context<Edge>, observation: Observation, answered: Omit<Answered, "endedAt">): Promise<void> {
  await observation.over;
  const whole = { ...answered, endedAt: Date.now() };
  if (c.env.REQUEST_LOG !== "errors" || !wentWell(observation, whole))
    console.log(formatRequestLine(observation, whole));
  if (c.env.OTLP_ENDPOINT !== undefined && observation.trace.sampled) {
    await exportSpans(c.env.OTLP_ENDPOINT, c.env.OTLP_HEADERS ?? "", spansOf(observation, whole));
  }
}

/** Notices what becomes of a request, and how long each part of it takes: in its answer, in the log, and in spans. */
export const observe = createMiddleware<Edge>(async (c, next) => {
  const observation = new Observation(c.req.raw.headers, { records: c.env.OTLP_ENDPOINT !== undefined });
  c.set("observation", observation);
  await next();
  const readableBy = c.res.headers.get("access-control-allow-origin");
  for (const [name, value] of Object.entries(observabilityHeaders(observation, readableBy, Date.now()))) {
    // The answer is final: `c.header` would make a new one for each.
    c.res.headers.set(name, value);
  }
  // A principal is known only where it got that far.
  const principal: Edge["Variables"]["principal"] | undefined = c.get("principal");
  c.executionCtx.waitUntil(
    report(c, observation, {
      requestId: c.get("requestId"),
      method: c.req.method,
      route: routeOf(c),
      status: c.res.status,
      generation: c.res.headers.get("x-generation-id"),
      projectId: principal?.projectId ?? null,
      keyId: principal?.keyId ?? null,
    }),
  );
});
