import type { Context } from "hono";
import type { Edge } from "../environment.ts";
import { admit, settle } from "../limits/admission.ts";
import { InferenceWorker, type Refusal } from "../upstreams/inference-worker.ts";
import { Generation } from "./generation.ts";
import { type Plan, planGeneration } from "./plan.ts";

const EVENT_STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/** A request that is itself wrong counts as a request all the same: no way past the limits. */
async function planOrCount(c: Context<Edge>): Promise<Plan> {
  try {
    return await planGeneration(c);
  } catch (error) {
    await admit(c, 0);
    throw error;
  }
}

function answerRefusal(c: Context<Edge>, { status, body, retryAfter }: Refusal): Response {
  if (retryAfter !== null) c.header("retry-after", retryAfter);
  // The caller's time is up: a client that tries again by itself would only add to the load.
  if (status === 504) c.header("x-should-retry", "false");
  return c.json(body, status);
}

/** `POST /v1/chat/completions`: plan, reserve, forward, relay. */
export async function chatCompletions(c: Context<Edge>): Promise<Response> {
  const worker = new InferenceWorker(c.env, c.var.requestId);
  const plan = await planOrCount(c);
  const reservation = await admit(c, plan.tokens);

  const generation = new Generation(plan.request, worker, (tokens) => settle(c, reservation, tokens));
  c.executionCtx.waitUntil(generation.finished);
  const admission = await generation.start(c.req.raw.signal);
  // Nobody is left to read this; 499 is how logs tell.
  if (admission === null) return new Response(null, { status: 499 });
  if (!admission.admitted) return answerRefusal(c, admission.refusal);

  const body = generation.relay(admission.response);
  return c.body(body, 200, plan.request.stream ? EVENT_STREAM_HEADERS : { "content-type": "application/json" });
}
