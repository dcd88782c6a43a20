import { Hono } from "hono";
import {
  type LimitName,
  type LimitState,
  type LimitsAnswer,
  type LimitsCheckAnswer,
  tokensCheckSchema,
} from "../../schema/api/limits.ts";
import { requireScope } from "../auth/authenticate.ts";
import { parse, readJson } from "../body.ts";
import type { Edge } from "../environment.ts";
import { planGeneration } from "../generations/plan.ts";
import { checkLimits } from "./admission.ts";
import { type Meter, type Subject, subjectsOf } from "./subject.ts";

const toState = ({ limit, used, remaining, resetMs }: Meter): LimitState => ({
  limit,
  used,
  remaining,
  reset_ms: resetMs,
});

/** The meters of one subject, each under its limit's name, as `read` turns them into what is answered. */
function byName<T>(subject: Subject, meters: readonly Meter[], read: (meter: Meter) => T): Record<LimitName, T> {
  const of = (name: LimitName): T => {
    const meter = meters.find((candidate) => candidate.subject === subject.kind && candidate.name === name);
    if (meter === undefined) throw new Error(`no meter of ${subject.kind} ${name}`);
    return read(meter);
  };
  return {
    requests_per_minute: of("requests_per_minute"),
    tokens_per_minute: of("tokens_per_minute"),
    concurrent_generations: of("concurrent_generations"),
    tokens_per_month: of("tokens_per_month"),
  };
}

const isChat = (body: unknown) => typeof body === "object" && body !== null && "messages" in body;

/** How the caller's limits stand, and what they would say of a request. */
export const limitRoutes = new Hono<Edge>()
  .get("/", async (c) => {
    const { meters } = await checkLimits(c, 0);
    const answer: LimitsAnswer = {
      object: "limits",
      subjects: subjectsOf(c.var.principal).map((subject) => ({
        subject: subject.kind,
        id: subject.id,
        limits: byName(subject, meters, toState),
      })),
    };
    return c.json(answer);
  })
  .post("/check", requireScope("chat"), async (c) => {
    const body = await readJson(c.req.raw);
    const tokens = isChat(body) ? (await planGeneration(c, body)).tokens : parse(tokensCheckSchema, body).tokens;
    const { refusal, meters, waits } = await checkLimits(c, tokens);
    const answer: LimitsCheckAnswer = {
      object: "limits.check",
      allowed: refusal === null,
      tokens,
      refused_by: refusal === null ? null : { subject: refusal.subject, limit: refusal.name },
      retry_after_ms: refusal === null ? 0 : refusal.waitMs,
      subjects: subjectsOf(c.var.principal).map((subject, index) => ({
        subject: subject.kind,
        id: subject.id,
        limits: byName(subject, meters, (meter) => {
          const wait = waits[index]?.[meter.name] ?? null;
          return { ...toState(meter), allowed: wait === 0, retry_after_ms: wait };
        }),
      })),
    };
    return c.json(answer);
  });
