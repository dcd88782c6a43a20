import { LIMIT_NAMES, type LimitName, type SubjectKind } from "../../schema/api/limits.ts";
import { type Account, type Demand, waitsOf } from "./account.ts";
import type { Subject } from "./subject.ts";

/** A subject and its counters as they stand now. */
export type Standing = { subject: Subject; account: Account };

/** The limit that refuses a request longest. `waitMs` is `null` where waiting cannot help. */
export type Refusal = { subject: SubjectKind; name: LimitName; waitMs: number | null };

const lasts = (waitMs: number | null) => waitMs ?? Number.POSITIVE_INFINITY;

/**
 * Whether every limit of every subject allows the request: `null`, or the limit that it would have to wait longest for, so that who comes
 * again then is not refused for another.
 */
export function decide(standings: readonly Standing[], demand: Demand, now: number): Refusal | null {
  let refusal: Refusal | null = null;
  for (const { subject, account } of standings) {
    const waits = waitsOf(account, subject.limits, demand, now);
    for (const name of LIMIT_NAMES) {
      const waitMs = waits[name];
      if (waitMs === 0 || (refusal !== null && lasts(waitMs) <= lasts(refusal.waitMs))) continue;
      refusal = { subject: subject.kind, name, waitMs };
    }
  }
  return refusal;
}
