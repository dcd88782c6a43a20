import type { Context } from "hono";
import { AttuneError } from "../../../schema/wire/errors.ts";
import type { Edge } from "../../environment.ts";
import { type Dialect, EVENT_STREAM_HEADERS } from "../dialect.ts";
import { EventScanner } from "../event-scanner.ts";
import { relayEvents } from "../relay.ts";
import type { KeptAnswer } from "./kept-log.ts";

const lost = (generation: string) =>
  new AttuneError(
    "generation_failed",
    `The connection to the answer was lost, but what comes of it is kept: read on at GET /v1/generations/${generation}/events.`,
  );

/** There is no answer to be had, though its generation is known. */
export const notKept = (generation: string) =>
  new AttuneError(
    "not_kept",
    `The answer of ${generation} is not kept: it was deleted, its time is over, or its request did not ask for it.`,
  );

/** What is kept of an answer, as its request wanted it. A client that goes away leaves the generation alone. */
export function answerKeptBytes(
  c: Context<Edge>,
  generation: string,
  { stream, status, body }: KeptAnswer,
  dialect: Dialect,
): Response {
  c.header("x-generation-id", generation);
  if (!stream) {
    // The same would come of it.
    if (status !== 200) c.header("x-should-retry", "false");
    return c.body(body, status, { "content-type": "application/json" });
  }
  const ending = { ...dialect, error: lost(generation) };
  const events = relayEvents(body, new EventScanner(), ending, () => {});
  return c.body(events, 200, { ...EVENT_STREAM_HEADERS, ...dialect.streamHeaders });
}
