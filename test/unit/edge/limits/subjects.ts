import type { Meter, Subject } from "../../../../edge/limits/subject.ts";
import { type Limits, NO_LIMITS } from "../../../../schema/api/limits.ts";

export const limitsOf = (some: Partial<Limits>): Limits => ({ ...NO_LIMITS, ...some });

export const keySubject = (limits: Partial<Limits>, id = "key_a"): Subject => ({
  kind: "key",
  account: `key:${id}`,
  id,
  limits: limitsOf(limits),
});

export const projectSubject = (limits: Partial<Limits>): Subject => ({
  kind: "project",
  account: "project",
  id: "proj_a",
  limits: limitsOf(limits),
});

export const endUserSubject = (limits: Partial<Limits>, name = "visitor"): Subject => ({
  kind: "end_user",
  account: `end_user:key_a:${name}`,
  id: name,
  limits: limitsOf(limits),
});

/** One of the meters, by whose it is and which. */
export function meterOf(meters: readonly Meter[], subject: Meter["subject"], name: Meter["name"]): Meter {
  const meter = meters.find((candidate) => candidate.subject === subject && candidate.name === name);
  if (meter === undefined) throw new Error(`no meter ${subject} ${name}`);
  return meter;
}
