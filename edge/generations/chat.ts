import type { Context } from "hono";
import { permitScope } from "../auth/principal.ts";
import { readJson } from "../body.ts";
import type { Edge } from "../environment.ts";
import { admit } from "../limits/admission.ts";
import { InferenceWorker } from "../upstreams/inference-worker.ts";
import { answerRefusal } from "../upstreams/refusal.ts";
import { regionOf } from "../upstreams/worker-list.ts";
import { settleGeneration } from "../usage/settle-generation.ts";
import { type Dialect, EVENT_STREAM_HEADERS } from "./dialect.ts";
import { Generation } from "./generation.ts";
import { answerKept, type Keeping, keepingOf } from "./keep.ts";
import { type Plan, planGeneration } from "./plan.ts";

/** A request that is itself wrong, or not allowed, counts as a request all the same: no way past the limits. */
async function planOrCount(c: Context<Edge>, dialect: Dialect): Promise<{ plan: Plan; keeping: Keeping | null }> {
  try {
    permitScope(c.var.principal, "chat");
    const body = await readJson(c.req.raw);
    const plan = await c.var.observation.measure("plan", () => planGeneration(c, body, dialect));
    return { plan, keeping: await keepingOf(c, dialect, plan.keep, body) };
  } catch (error) {
    await admit(c, 0);
    throw error;
  }
}

/** Answers a request in its dialect: plan, reserve, forward, relay. */
async function answer(c: Context<Edge>, dialect: Dialect): Promise<Response> {
  const { plan, keeping } = await planOrCount(c, dialect);
  if (keeping !== null) return answerKept(c, dialect, plan, keeping);
  const worker = new InferenceWorker(c.env, c.var.requestId, regionOf(c.req.raw), c.var.observation.traceHeaders);
  const reservation = await admit(c, plan.tokens);

  const { observation } = c.var;
  const generation = new Generation(plan.request, worker, (ending) =>
    settleGeneration(c, reservation, plan.request, ending),
  );
  observation.over = generation.finished;
  c.executionCtx.waitUntil(generation.finished);
  const admission = await observation.measure("upstream", () => generation.start(c.req.raw.signal));
  // Nobody is left to read this; 499 is how logs tell.
  if (admission === null) return new Response(null, { status: 499 });
  if (!admission.admitted) return answerRefusal(c, admission.refusal);

  c.header("x-generation-id", plan.request.generation);
  const body = generation.relay(admission.response, dialect);
  const streamHeaders = { ...EVENT_STREAM_HEADERS, ...dialect.streamHeaders };
  return c.body(body, 200, plan.request.stream ? streamHeaders : { "content-type": "application/json" });
}

/** The route of a dialect. */
export const answerIn = (dialect: Dialect) => (c: Context<Edge>) => answer(c, dialect);
