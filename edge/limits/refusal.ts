import type { SubjectKind } from "../../schema/api/limits.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { Refusal } from "./decide.ts";
import { retryHeaders } from "./headers.ts";
import type { Meter } from "./subject.ts";
import { WINDOW_MS } from "./window.ts";

const WHO: Record<SubjectKind, string> = { key: "This key", project: "This project", end_user: "This end user" };

/** A refusal as what the client gets: the error, and the headers that say whether and when to come again. */
export type Answer = { error: AttuneError; headers: Record<string, string> };

function describe(refusal: Refusal, { limit, used, remaining }: Meter, tokens: number): string {
  const who = WHO[refusal.subject];
  const fewer = "Lower max_tokens, ask for fewer answers or shorten the messages.";
  const asked = `This request may use ${tokens} tokens (prompt, and max_tokens for each answer)`;
  const wait = `Try again in ${Math.ceil((refusal.waitMs ?? 0) / 1000)} s.`;
  const isNever = refusal.waitMs === null;
  switch (refusal.name) {
    case "requests_per_minute":
      return `${who} is limited to ${limit} requests per minute. ${isNever ? "It can never succeed." : wait}`;
    case "tokens_per_minute":
      return isNever
        ? `${asked} and ${who.toLowerCase()} is limited to ${limit} per minute, so it can never succeed. ${fewer}`
        : `${who} is limited to ${limit} tokens per minute, ${remaining} are left and this request may use ${tokens}. ${wait}`;
    case "concurrent_generations":
      return isNever
        ? `${who} may not generate anything: it is limited to ${limit} generations at a time.`
        : `${who} is limited to ${limit} generations at a time, and ${used} are running. Try again when one of them has ended.`;
    case "tokens_per_month":
      return isNever
        ? `${asked} and ${who.toLowerCase()} has ${limit} a month, so it can never succeed. ${fewer}`
        : `${who} has ${remaining} of its ${limit} tokens of this month left, and this request may use ${tokens}. ${fewer} ` +
            "The next month begins in UTC; a larger budget is the administrator's to give.";
  }
}

/**
 * What to answer to a refused request. A client that comes again by itself is told to only where that helps within a minute.
 *
 * @param tokens what the request would have reserved
 */
export function explainRefusal(refusal: Refusal, meters: readonly Meter[], tokens: number): Answer {
  const meter = meters.find(({ subject, name }) => subject === refusal.subject && name === refusal.name);
  if (meter === undefined) throw new Error(`no meter of the limit that refused: ${refusal.subject} ${refusal.name}`);
  const { waitMs, name } = refusal;
  const helps = waitMs !== null && waitMs <= WINDOW_MS && name !== "tokens_per_month";
  const code = name === "tokens_per_month" ? "budget_exceeded" : "rate_limit_exceeded";
  return {
    error: new AttuneError(code, describe(refusal, meter, tokens)),
    headers: { "x-should-retry": String(helps), ...(waitMs !== null && retryHeaders(waitMs)) },
  };
}
