import { formatTraceparent } from "../../schema/wire/trace-context.ts";
import type { Observation } from "./observation.ts";

/** What a page's script may read of these, beside what else it may. */
export const OBSERVABILITY_HEADERS = ["traceresponse", "server-timing"];

/** `auth;dur=3, limits;dur=12, total;dur=17`, in milliseconds: https://www.w3.org/TR/server-timing/ */
function formatServerTiming({ phases, startedAt }: Observation, now: number): string {
  const sums = new Map<string, number>();
  for (const { name, startedAt: start, endedAt } of phases) sums.set(name, (sums.get(name) ?? 0) + endedAt - start);
  return [...sums, ["total", now - startedAt]].map(([name, duration]) => `${name};dur=${duration}`).join(", ");
}

/**
 * What an answer says of how it came about.
 *
 * @param readableBy origins whose pages may read the answer; `null`: those of none other
 * @param now Unix milliseconds, when the answer begins
 */
export function observabilityHeaders(
  observation: Observation,
  readableBy: string | null,
  now: number,
): Record<string, string> {
  return {
    traceresponse: formatTraceparent(observation.trace),
    "server-timing": formatServerTiming(observation, now),
    // Without it browsers keep the timing from pages of other origins.
    ...(readableBy !== null && { "timing-allow-origin": readableBy }),
  };
}
