import type { LimitName, Limits, SubjectKind } from "../../schema/api/limits.ts";
import type { Principal } from "../auth/principal.ts";

/** Someone whose limits a request must fit. */
export type Subject = {
  kind: SubjectKind;
  /** Names its counters within the project. */
  account: string;
  /** Id of the key or project, or the end user as its page calls it; `null` for visitors without a name. */
  id: string | null;
  limits: Limits;
};

const isLimited = (limits: Limits) => Object.values(limits).some((limit) => limit !== null);

/**
 * Who is limited in this request. Sessions that name no end user count as one together, so that leaving the name out is no way around the
 * limits.
 */
export function subjectsOf(principal: Principal): Subject[] {
  const { keyId, projectId, limits, projectLimits, endUserLimits, session } = principal;
  const key: Subject = { kind: "key", account: `key:${keyId}`, id: keyId, limits };
  const project: Subject = { kind: "project", account: "project", id: projectId, limits: projectLimits };
  if (session === null || !isLimited(endUserLimits)) return [key, project];
  const { endUser } = session;
  const account = endUser === null ? `end_users:${keyId}` : `end_user:${keyId}:${endUser}`;
  return [key, project, { kind: "end_user", account, id: endUser, limits: endUserLimits }];
}

/** One limit of one subject as it stands; see `LimitState` for the fields. */
export type Meter = {
  subject: SubjectKind;
  name: LimitName;
  limit: number | null;
  used: number;
  remaining: number | null;
  resetMs: number | null;
};
