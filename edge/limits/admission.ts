import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import type { Edge } from "../environment.ts";
import { meterHeaders } from "./headers.ts";
import { LeasePool, type Permit } from "./lease-pool.ts";
import type { Check, ReserveAnswer } from "./ledger.ts";
import type { ProjectLimiter } from "./project-limiter.ts";
import { explainRefusal } from "./refusal.ts";
import { type Subject, subjectsOf } from "./subject.ts";

/** Names one admitted request, for settling it. */
export type Reservation = { id: string } | Permit;

/** Permits that this isolate may give out without asking. */
const leases = new LeasePool();

/** Whether the platform says that the call may be made again: the object was moved or restarted under it. */
function isRetryable(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || !("retryable" in thrown)) return false;
  return thrown.retryable === true && !("overloaded" in thrown && thrown.overloaded === true);
}

/** Calls the project's object; once more where it was restarted under the call. What is called must bear being called twice. */
async function callLimiter<T>(
  c: Context<Edge>,
  call: (limiter: DurableObjectStub<ProjectLimiter>) => Promise<T>,
): Promise<T> {
  const open = () => c.env.PROJECT_LIMITER.getByName(c.var.principal.projectId);
  try {
    return await call(open());
  } catch (thrown) {
    if (!isRetryable(thrown)) throw thrown;
    return call(open());
  }
}

function setHeaders(c: Context<Edge>, headers: Record<string, string>): void {
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
}

/**
 * Counts the request and reserves `tokens` under the limits of all its subjects; every answer from here on tells how they stand. A
 * request with tokens counts as a generation that runs until it is settled.
 *
 * @throws AttuneError `rate_limit_exceeded`, `budget_exceeded`
 */
export async function admit(c: Context<Edge>, tokens: number): Promise<Reservation> {
  return admitFor(c, subjectsOf(c.var.principal), tokens);
}

/** The same for some subjects only. */
export async function admitFor(c: Context<Edge>, subjects: readonly Subject[], tokens: number): Promise<Reservation> {
  const { projectId } = c.var.principal;
  const now = Date.now();
  const holder = JSON.stringify([projectId, subjects, tokens > 0]);
  const leased = leases.take(holder, tokens, now);
  if (leased !== null) {
    setHeaders(c, meterHeaders(leased.meters));
    return leased.permit;
  }
  const id = crypto.randomUUID();
  const settlements = leases.collect(projectId, now);
  const reserving = callLimiter(
    c,
    async (limiter): Promise<ReserveAnswer> => limiter.reserve({ id, subjects, tokens }, settlements),
  );
  // A client that goes away meanwhile must not take the answer along: what was reserved is to be settled in any case.
  c.executionCtx.waitUntil(reserving.catch(() => null));
  const answer = await reserving;
  const { meters } = answer;
  if (answer.allowed && answer.lease !== null) {
    const grant = { id, projectId, askedAt: now, meters, block: answer.lease };
    const first = leases.open(holder, grant, tokens);
    setHeaders(c, meterHeaders(first.meters));
    return first.permit;
  }
  setHeaders(c, meterHeaders(meters));
  if (answer.allowed) return { id };
  const { error, headers } = explainRefusal(answer.refusal, meters, tokens);
  setHeaders(c, headers);
  throw error;
}

/** Replaces the reserved tokens by those used; `null`: nobody knows, they stand. */
export async function settle(c: Context<Edge>, reservation: Reservation, tokens: number | null): Promise<void> {
  const settlement =
    "id" in reservation
      ? { id: reservation.id, requests: 1, tokens, ended: true }
      : leases.settle(reservation, tokens, Date.now());
  if (settlement !== null) await callLimiter(c, (limiter) => limiter.settle([settlement]));
}

/** What would be decided about a request that may use so many tokens. */
export function checkLimits(c: Context<Edge>, tokens: number): Promise<Check> {
  return callLimiter(c, (limiter) => limiter.check(subjectsOf(c.var.principal), tokens));
}

/** For routes that generate nothing: one request, no tokens. */
export const countRequest = createMiddleware<Edge>(async (c, next) => {
  await admit(c, 0);
  await next();
});
