import type { Context } from "hono";
import type { Edge } from "../environment.ts";
import type { Refusal } from "./inference-worker.ts";

/** Passes on what the worker says that is the caller's to know. */
export function answerRefusal(c: Context<Edge>, { status, body, retryAfter }: Refusal): Response {
  if (retryAfter !== null) c.header("retry-after", retryAfter);
  // The caller's time is up: a client that tries again by itself would only add to the load.
  if (status === 504) c.header("x-should-retry", "false");
  return c.json(body, status);
}
