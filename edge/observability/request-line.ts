import type { Observation } from "./observation.ts";

/** What is known of a request once it is answered. */
export type Answered = {
  requestId: string;
  method: string;
  /** The route's pattern, never the path itself, which could hold anything; `null` where there is none. */
  route: string | null;
  status: number;
  /** The generation that was answered with. */
  generation: string | null;
  projectId: string | null;
  keyId: string | null;
  /** Unix milliseconds: when the request was over, its stream too. */
  endedAt: number;
};

/** What the log and the spans say of a generation. */
function generationFields({ usage }: Observation) {
  if (usage === null) return {};
  return {
    model: usage.model,
    preset: usage.presetSlug,
    stream: usage.streamed,
    state: usage.state,
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    usage_known: usage.usageKnown,
    first_byte_ms: usage.firstByteMs,
  };
}

/** Whether a request was answered as asked: not refused, and its generation not failed. */
export const wentWell = ({ usage }: Observation, { status }: Answered) => status < 400 && usage?.state !== "failed";

/**
 * The one line that the log has of a request. Ids, names of this server's own and numbers: nothing of what was asked or answered, no key,
 * and no end user. JSON has no line breaks, so none can be smuggled in.
 */
export function formatRequestLine(observation: Observation, answered: Answered): string {
  const { trace, phases, startedAt } = observation;
  return JSON.stringify({
    event: "request",
    at: new Date(startedAt).toISOString(),
    request_id: answered.requestId,
    trace_id: trace.traceId,
    span_id: trace.spanId,
    method: answered.method,
    route: answered.route,
    status: answered.status,
    error: observation.error ?? observation.usage?.error ?? null,
    duration_ms: answered.endedAt - startedAt,
    ...Object.fromEntries(phases.map((phase) => [`${phase.name}_ms`, phase.endedAt - phase.startedAt])),
    project: answered.projectId,
    key: answered.keyId,
    generation: answered.generation ?? observation.usage?.id ?? null,
    ...generationFields(observation),
  });
}
