import type { Context } from "hono";
import { RETENTION } from "../../schema/api/generations.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";
import { admit, retrying, setHeaders } from "../limits/admission.ts";
import { meterHeaders } from "../limits/headers.ts";
import { explainRefusal } from "../limits/refusal.ts";
import { subjectsOf } from "../limits/subject.ts";
import { answerRefusal } from "../upstreams/refusal.ts";
import { regionOf } from "../upstreams/worker-list.ts";
import type { Dialect } from "./dialect.ts";
import { type Idempotency, readIdempotency } from "./idempotency.ts";
import { answerKeptBytes, notKept } from "./kept/answer.ts";
import type { Started } from "./kept/kept-generation.ts";
import type { KeptAnswer } from "./kept/kept-log.ts";
import type { Order } from "./kept/kept-record.ts";
import { askerOf, openKept } from "./kept/open.ts";
import type { Plan } from "./plan.ts";

/** What an answer is kept for, and how many seconds after its end. */
export type Keeping = { retention: number; idempotency: Idempotency | null };

/**
 * Whether, and why, a request's answer is kept; `null`: it is not.
 *
 * @param body what was asked, as JSON
 * @throws AttuneError `invalid_request`
 */
export async function keepingOf(
  c: Context<Edge>,
  dialect: Dialect,
  { store, resumable }: Plan["keep"],
  body: unknown,
): Promise<Keeping | null> {
  const key = c.req.header("idempotency-key");
  if (key === undefined && !store && !resumable) return null;
  const retention = Math.max(
    store ? RETENTION.stored : 0,
    resumable ? RETENTION.resumable : 0,
    key !== undefined ? RETENTION.idempotent : 0,
  );
  const idempotency =
    key === undefined ? null : await readIdempotency(key, askerOf(c.var.principal), dialect.name, body);
  return { retention, idempotency };
}

function orderOf(c: Context<Edge>, plan: Plan, { retention, idempotency }: Keeping): Order {
  const { principal, requestId, observation } = c.var;
  return {
    request: { ...plan.request, ...(idempotency !== null && { generation: idempotency.generation }) },
    asker: askerOf(principal),
    requestId,
    region: regionOf(c.req.raw),
    traceHeaders: observation.traceHeaders,
    startedAt: observation.startedAt,
    subjects: subjectsOf(principal),
    tokens: plan.tokens,
    retention,
    fingerprint: idempotency?.fingerprint ?? null,
  };
}

/** A replay is a request, and generates nothing. */
async function countReplay(c: Context<Edge>, { body }: KeptAnswer): Promise<void> {
  try {
    await admit(c, 0);
  } catch (error) {
    await body.cancel();
    throw error;
  }
  c.header("idempotent-replayed", "true");
}

/** Has an answer made and kept by an object of its own, and passes it on; an answer that there is already is passed on as it is. */
export async function answerKept(c: Context<Edge>, dialect: Dialect, plan: Plan, keeping: Keeping): Promise<Response> {
  const order = orderOf(c, plan, keeping);
  const open = () => openKept(c.env, order.asker.projectId, order.request.generation);
  const starting = retrying(async (): Promise<Started> => open().start(order));
  // A client that goes away meanwhile takes nothing along.
  c.executionCtx.waitUntil(starting.catch(() => null));
  const started = await c.var.observation.measure("upstream", () => starting);
  switch (started.kind) {
    case "limited": {
      const { refusal, meters } = started.answer;
      const { error, headers } = explainRefusal(refusal, meters, plan.tokens);
      setHeaders(c, { ...meterHeaders(meters), ...headers });
      throw error;
    }
    case "refused":
      setHeaders(c, meterHeaders(started.meters));
      return answerRefusal(c, started.refusal);
    case "failed":
      setHeaders(c, meterHeaders(started.meters));
      throw new AttuneError(started.error.code, started.error.message);
    case "mismatch":
      await admit(c, 0);
      throw new AttuneError(
        "idempotency_mismatch",
        "This Idempotency-Key was sent before with another request. Send the same request, or another key.",
        { param: "Idempotency-Key" },
      );
    case "deleted":
      await admit(c, 0);
      throw notKept(started.generation);
    case "begun": {
      if (started.replayed) await countReplay(c, started.answer);
      else setHeaders(c, meterHeaders(started.meters));
      return answerKeptBytes(c, started.generation, started.answer, dialect);
    }
  }
}
