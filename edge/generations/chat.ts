import type { Context } from "hono";
import { permitScope } from "../auth/principal.ts";
import { readJson } from "../body.ts";
import type { Edge } from "../environment.ts";
import { admit, settle } from "../limits/admission.ts";
import { InferenceWorker } from "../upstreams/inference-worker.ts";
import { answerRefusal } from "../upstreams/refusal.ts";
import type { Dialect } from "./dialect.ts";
import { Generation } from "./generation.ts";
import { type Plan, planGeneration } from "./plan.ts";

const EVENT_STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/** A request that is itself wrong, or not allowed, counts as a request all the same: no way past the limits. */
async function planOrCount(c: Context<Edge>, dialect: Dialect): Promise<Plan> {
  try {
    permitScope(c.var.principal, "chat");
    return await planGeneration(c, await readJson(c.req.raw), dialect);
  } catch (error) {
    await admit(c, 0);
    throw error;
  }
}

/** Answers a request in its dialect: plan, reserve, forward, relay. */
async function answer(c: Context<Edge>, dialect: Dialect): Promise<Response> {
  const worker = new InferenceWorker(c.env, c.var.requestId);
  const plan = await planOrCount(c, dialect);
  const reservation = await admit(c, plan.tokens);

  const generation = new Generation(plan.request, worker, (tokens) => settle(c, reservation, tokens));
  c.executionCtx.waitUntil(generation.finished);
  const admission = await generation.start(c.req.raw.signal);
  // Nobody is left to read this; 499 is how logs tell.
  if (admission === null) return new Response(null, { status: 499 });
  if (!admission.admitted) return answerRefusal(c, admission.refusal);

  const body = generation.relay(admission.response, dialect);
  const streamHeaders = { ...EVENT_STREAM_HEADERS, ...dialect.streamHeaders };
  return c.body(body, 200, plan.request.stream ? streamHeaders : { "content-type": "application/json" });
}

/** The route of a dialect. */
export const answerIn = (dialect: Dialect) => (c: Context<Edge>) => answer(c, dialect);
