import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { Batch } from "../batch.ts";
import type { Edge } from "../environment.ts";
import type { UsageRecord } from "../usage/usage-record.ts";
import { meterHeaders } from "./headers.ts";
import { LeasePool, type Permit } from "./lease-pool.ts";
import type { Check, ReserveAnswer, ReserveRequest } from "./ledger.ts";
import type { ProjectLimiter } from "./project-limiter.ts";
import { explainRefusal } from "./refusal.ts";
import type { Settlement } from "./reservation.ts";
import { type Subject, subjectsOf } from "./subject.ts";

/** Names one admitted request, for settling it. */
export type Reservation = { id: string } | Permit;

/** Permits that this isolate may give out without asking. */
const leases = new LeasePool();

/** What generations out of leases used, for a moment. */
const unrecorded = new Batch<UsageRecord>({ waitMs: 250, most: 1_000 });

/** When to tell again what could not be told. */
const TELL_AGAIN_MS = [50, 1_000, 4_000];

/** Whether the platform says that the call may be made again: the object was moved or restarted under it. */
function isRetryable(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || !("retryable" in thrown)) return false;
  return thrown.retryable === true && !("overloaded" in thrown && thrown.overloaded === true);
}

/** Calls the project's object. */
async function callLimiter<T>(
  { env, projectId }: { env: Pick<Cloudflare.Env, "PROJECT_LIMITER">; projectId: string },
  call: (limiter: DurableObjectStub<ProjectLimiter>) => Promise<T>,
): Promise<T> {
  return retrying(() => call(env.PROJECT_LIMITER.getByName(projectId)));
}

/** Calls an object; once more where it was restarted under the call. What is called must bear being called twice. */
export async function retrying<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    if (!isRetryable(thrown)) throw thrown;
    return call();
  }
}

export function setHeaders(c: Context<Edge>, headers: Record<string, string>): void {
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
}

/**
 * Counts the request and reserves `tokens` under the limits of all its subjects; every answer from here on tells how they stand. A
 * request with tokens counts as a generation that runs until it is settled.
 *
 * @throws AttuneError `rate_limit_exceeded`, `budget_exceeded`
 */
export async function admit(c: Context<Edge>, tokens: number): Promise<Reservation> {
  return admitFor(c, subjectsOf(c.get("principal")), tokens);
}

/** The same for some subjects only. */
export function admitFor(c: Context<Edge>, subjects: readonly Subject[], tokens: number): Promise<Reservation> {
  return c.get("observation").measure("limits", () => reserve(c, subjects, tokens));
}

async function reserve(c: Context<Edge>, subjects: readonly Subject[], tokens: number): Promise<Reservation> {
  const { projectId } = c.get("principal");
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
    { env: c.env, projectId },
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

/**
 * Replaces the reserved tokens by those used; `null`: nobody knows, they stand.
 *
 * @param record what the request used as a generation, for the ledger; goes along where the project's object is told anyway
 */
export async function settle(
  c: Context<Edge>,
  reservation: Reservation,
  tokens: number | null,
  record: UsageRecord | null = null,
): Promise<void> {
  const settlement =
    "id" in reservation
      ? { id: reservation.id, requests: 1, tokens, ended: true }
      : leases.settle(reservation, tokens, Date.now());
  if (settlement !== null) {
    await tellLimiter(c.env, c.var.principal.projectId, [settlement], record === null ? [] : [record]);
  } else if (record !== null) await tellTogether(c.env, record);
}

/** Tells a project's object what became of requests. What is told twice counts once, so it is tried again where it failed. */
export async function tellLimiter(
  env: Cloudflare.Env,
  projectId: string,
  settlements: readonly Settlement[],
  records: readonly UsageRecord[],
): Promise<void> {
  const tell = async () => env.PROJECT_LIMITER.getByName(projectId).settle(settlements, records);
  for (const wait of TELL_AGAIN_MS) {
    try {
      return await tell();
    } catch (error) {
      console.error(JSON.stringify({ event: "settling_again", project: projectId, reason: String(error) }));
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  await tell();
}

/** For generations out of a lease, which the object need not be told of one by one. */
async function tellTogether(env: Cloudflare.Env, record: UsageRecord): Promise<void> {
  if (!unrecorded.add(record)) return tellLimiter(env, record.projectId, [], [record]);
  const records = await unrecorded.collect(Date.now());
  const byProject = Map.groupBy(records, ({ projectId }) => projectId);
  await Promise.all([...byProject].map(([projectId, some]) => tellOrLog(env, projectId, some)));
}

/** Others' records are not this request's to fail for. */
async function tellOrLog(env: Cloudflare.Env, projectId: string, records: readonly UsageRecord[]): Promise<void> {
  try {
    await tellLimiter(env, projectId, [], records);
  } catch (error) {
    const generations = records.map(({ id }) => id);
    console.error(JSON.stringify({ event: "usage_lost", generations, reason: String(error) }));
  }
}

/** Reserves for what outlives its request, and is settled by whoever has its id: never out of a lease. */
export function reserveAlone(
  env: Cloudflare.Env,
  projectId: string,
  request: Omit<ReserveRequest, "alone">,
): Promise<ReserveAnswer> {
  return callLimiter(
    { env, projectId },
    async (limiter): Promise<ReserveAnswer> => limiter.reserve({ ...request, alone: true }, []),
  );
}

/** What would be decided about a request that may use so many tokens. */
export function checkLimits(c: Context<Edge>, tokens: number): Promise<Check> {
  const project = { env: c.env, projectId: c.var.principal.projectId };
  return callLimiter(project, (limiter) => limiter.check(subjectsOf(c.var.principal), tokens));
}

/** For routes that generate nothing: one request, no tokens. */
export const countRequest = createMiddleware<Edge>(async (c, next) => {
  await admit(c, 0);
  await next();
});
