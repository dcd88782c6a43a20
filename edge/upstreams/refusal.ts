import type { Context } from "hono";
import { AttuneError, type ErrorBody, errorBodySchema } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";

/** What a worker says that is the caller's to know; any other status means that the worker is broken or not ours. */
const PASSED_ON = [400, 404, 429, 503, 504] as const;
export type Refusal = { status: (typeof PASSED_ON)[number] | 500; body: ErrorBody; retryAfter: string | null };

/** No worker gave an answer that is fit for the caller. `cause` is for the log. */
export function unavailable(cause: unknown): AttuneError {
  return new AttuneError("worker_unavailable", "No inference worker is ready. Try again in a few seconds.", { cause });
}

/** `null` where the answer is not fit for the caller, as a rejected signature. */
export async function readRefusal(response: Response): Promise<Refusal | null> {
  const body = errorBodySchema.safeParse(await response.json().catch(() => null));
  if (!body.success) return null;
  const retryAfter = response.headers.get("retry-after");
  const status = PASSED_ON.find((passed) => passed === response.status);
  if (status !== undefined) return { status, body: body.data, retryAfter };
  return body.data.error.code === "generation_failed" ? { status: 500, body: body.data, retryAfter } : null;
}

/** Passes on what the worker says that is the caller's to know. */
export function answerRefusal(c: Context<Edge>, { status, body, retryAfter }: Refusal): Response {
  c.var.observation.error = body.error.code;
  if (retryAfter !== null) c.header("retry-after", retryAfter);
  // The caller's time is up, or the answer was made and is charged: a client that tries again by itself would only add to that.
  if (status === 504 || body.error.code === "moderation_unavailable") c.header("x-should-retry", "false");
  return c.json(body, status);
}
