import type { Context } from "hono";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Edge } from "../environment.ts";

/** What a caller last saw of a preset: it is changed only at one of these revisions; `null`: at any. */
export type Condition = { revisions: readonly number[] | null };

/** More entity tags than anybody has seen of one preset. */
const MAX_TAGS = 32;

/** A preset's entity tag, which changes with whatever changes about it. */
export const etagOf = (revision: number) => `"r${revision}"`;

/** The revisions that `If-Match` names. A weak tag, or one of something else, matches none. */
function revisionsOf(ifMatch: string): number[] {
  const tags = [...ifMatch.matchAll(/(W\/)?"([^"]*)"/g)];
  if (tags.length > MAX_TAGS) {
    throw new AttuneError("invalid_request", `If-Match: must name at most ${MAX_TAGS} entity tags.`);
  }
  return tags.flatMap(([, weak, tag = ""]) =>
    weak === undefined && /^r[1-9]\d{0,14}$/.test(tag) ? [Number(tag.slice(1))] : [],
  );
}

/** The preset, or what a write would create, is not as the caller's condition says. */
export const preconditionFailed = (message: string) => new AttuneError("precondition_failed", message);

/**
 * What the request's `If-Match` demands of a preset that it changes.
 *
 * @throws AttuneError `invalid_request` where it has an `If-None-Match`, which asks that there be nothing to change
 */
export function readCondition(c: Context<Edge>): Condition {
  if (c.req.header("if-none-match") !== undefined) {
    throw new AttuneError("invalid_request", "If-None-Match: this only changes what is there; use If-Match.");
  }
  const ifMatch = c.req.header("if-match");
  return { revisions: ifMatch === undefined || ifMatch.trim() === "*" ? null : revisionsOf(ifMatch) };
}

/**
 * Whether the request's `If-None-Match: *` demands that there be no such preset yet.
 *
 * @throws AttuneError `invalid_request` for any other value
 */
export function mustBeNew(c: Context<Edge>): boolean {
  const ifNoneMatch = c.req.header("if-none-match");
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === "*") return true;
  throw new AttuneError("invalid_request", "If-None-Match: must be * where something is written.");
}

/** Somebody else was faster. */
export const changedMeanwhile = (slug: string, revision: number) =>
  preconditionFailed(
    `The preset ${slug} was changed since you read it: it is at ${etagOf(revision)} now. ` +
      `Read it again, GET /v1/presets/${slug}, and repeat your change on what it is.`,
  );
