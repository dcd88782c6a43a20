import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";
import { meterHeaders, retryHeaders } from "./headers.ts";
import type { ProjectLimiter, Reservation, ReserveAnswer } from "./project-limiter.ts";

function limiterOf(c: Context<Edge>): DurableObjectStub<ProjectLimiter> {
  return c.env.PROJECT_LIMITER.getByName(c.var.principal.projectId);
}

function refusal(answer: Exclude<ReserveAnswer, { allowed: true }>, tokens: number): AttuneError {
  const { requests, tokens: tokenMeter } = answer.meters;
  if (answer.reason === "too_large") {
    return new AttuneError(
      "rate_limit_exceeded",
      `This request may use ${tokens} tokens (prompt, and max_tokens for each answer) and this key is limited to ` +
        `${tokenMeter.limit} per minute, so it can never succeed. Lower max_tokens, ask for fewer answers or shorten the messages.`,
    );
  }
  const wait = `Try again in ${Math.ceil(answer.retryAfterMs / 1000)} s.`;
  return new AttuneError(
    "rate_limit_exceeded",
    answer.reason === "requests"
      ? `This key is limited to ${requests.limit} requests per minute. ${wait}`
      : `This key is limited to ${tokenMeter.limit} tokens per minute, ${tokenMeter.remaining} are left and this request ` +
          `may use ${tokens}. ${wait}`,
  );
}

/**
 * Counts the request and reserves `tokens` under its key's limits; every answer from here on tells how they stand.
 *
 * @throws AttuneError `rate_limit_exceeded`
 */
export async function admit(c: Context<Edge>, tokens: number): Promise<Reservation> {
  const { keyId, limits } = c.var.principal;
  const answer = await limiterOf(c).reserve({ keyId, limits, tokens });
  const setHeaders = (headers: Record<string, string>) => {
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
  };
  setHeaders(meterHeaders(answer.meters));
  if (answer.allowed) return answer.reservation;
  setHeaders(answer.reason === "too_large" ? { "x-should-retry": "false" } : retryHeaders(answer.retryAfterMs));
  throw refusal(answer, tokens);
}

/** Replaces the reserved tokens by those used. */
export function settle(c: Context<Edge>, reservation: Reservation, tokens: number): Promise<void> {
  return limiterOf(c).settle(reservation, tokens);
}

/** For routes that generate nothing: one request, no tokens. */
export const countRequest = createMiddleware<Edge>(async (c, next) => {
  await admit(c, 0);
  await next();
});
