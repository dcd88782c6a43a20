import type { Context } from "hono";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import type { Edge } from "../environment.ts";
import { type Reservation, settle } from "../limits/admission.ts";
import { type GenerationEnding, recordOf, tokensOf } from "./usage-record.ts";

/** Settles what was reserved for a generation, and puts it into the ledger: both with one call to the project's object. */
export async function settleGeneration(
  c: Context<Edge>,
  reservation: Reservation,
  request: GenerateRequest,
  ending: GenerationEnding,
): Promise<void> {
  const { principal, requestId, observation } = c.var;
  const { startedAt } = observation;
  const record = recordOf({ principal, request, requestId, startedAt, endedAt: Date.now() }, ending);
  observation.usage = record;
  await settle(c, reservation, tokensOf(ending), record);
}
