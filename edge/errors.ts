import type { Context } from "hono";
import { AttuneError, toAttuneError } from "../schema/wire/errors.ts";
import type { Edge } from "./environment.ts";
import { retryHeaders } from "./limits/headers.ts";

/** When to try again while no worker is ready: about how long one needs to restart. */
const WORKER_RETRY_MS = 5_000;

function answer(c: Context<Edge>, error: AttuneError): Response {
  c.var.observation.error = error.code;
  if (error.status === 401) c.header("www-authenticate", "Bearer");
  if (error.code === "worker_unavailable") {
    for (const [name, value] of Object.entries(retryHeaders(WORKER_RETRY_MS))) c.header(name, value);
  }
  return c.json(error.toBody(), error.status);
}

/** Every thrown error as an answer; what the client is not told goes to the log, under the request's id. */
export function answerError(thrown: Error, c: Context<Edge>): Response {
  const error = toAttuneError(thrown);
  if (error.status >= 500) {
    const reason = String(error.cause ?? error.message);
    console.error(JSON.stringify({ event: error.code, request_id: c.var.requestId, reason }));
  }
  return answer(c, error);
}

export function answerNotFound(c: Context<Edge>): Response {
  return answer(c, new AttuneError("not_found", `There is no ${c.req.method} ${c.req.path} here.`));
}

export function answerMethodNotAllowed(c: Context<Edge>, methods: string[]): Response {
  c.header("allow", methods.join(", "));
  const message = `${c.req.path} does not take ${c.req.method}; it takes ${methods.join(", ")}.`;
  return answer(c, new AttuneError("method_not_allowed", message));
}
