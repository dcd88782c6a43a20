import { blockRandomBytes } from "../base62.ts";
import { type MeasuredPhase, type Observation, randomHex } from "./observation.ts";
import type { Answered } from "./request-line.ts";

/** OTLP 1.x in JSON: https://opentelemetry.io/docs/specs/otlp/. Ids in hex, 64-bit integers as text, enums as numbers. */
const SPAN_KIND = { internal: 1, server: 2, client: 3 } as const;
const STATUS_ERROR = 2;
const SCOPE = { name: "attune/edge" };

type Value = { stringValue: string } | { intValue: string } | { boolValue: boolean };
type Attributes = Record<string, string | number | boolean | null>;

/** A span as OTLP spells it. */
export type Span = {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  traceState?: string;
  flags: number;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Value }[];
  status: { code?: number };
};

function toValue(value: string | number | boolean): Value {
  if (typeof value === "string") return { stringValue: value };
  return typeof value === "number" ? { intValue: String(value) } : { boolValue: value };
}

/** What is `null` is left out. */
const attributesOf = (attributes: Attributes) =>
  Object.entries(attributes).flatMap(([key, value]) => (value === null ? [] : [{ key, value: toValue(value) }]));

const nanoseconds = (milliseconds: number) => `${milliseconds}000000`;

const SAMPLED = 1;

function phaseSpan({ trace, usage, upstreamSpanId }: Observation, phase: MeasuredPhase, endedAt: number): Span {
  const isUpstream = phase.name === "upstream";
  // The answer goes on after the worker has begun it.
  const end = isUpstream && usage !== null ? endedAt : phase.endedAt;
  const generation: Attributes =
    isUpstream && usage !== null
      ? {
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "attune",
          "gen_ai.request.model": usage.model,
          "gen_ai.response.id": usage.id,
          "gen_ai.usage.input_tokens": usage.promptTokens,
          "gen_ai.usage.output_tokens": usage.completionTokens,
          "error.type": usage.error,
          "attune.generation.state": usage.state,
          "attune.preset": usage.presetSlug,
          "attune.first_byte_ms": usage.firstByteMs,
        }
      : {};
  return {
    traceId: trace.traceId,
    spanId: isUpstream ? upstreamSpanId : randomHex(8, blockRandomBytes),
    parentSpanId: trace.spanId,
    flags: SAMPLED,
    name: isUpstream && usage !== null ? `chat ${usage.model}` : phase.name,
    kind: isUpstream ? SPAN_KIND.client : SPAN_KIND.internal,
    startTimeUnixNano: nanoseconds(phase.startedAt),
    endTimeUnixNano: nanoseconds(end),
    attributes: attributesOf(generation),
    status: isUpstream && usage?.state === "failed" ? { code: STATUS_ERROR } : {},
  };
}

/** The spans of one request: its own, and one for each of its phases. */
export function spansOf(observation: Observation, answered: Answered): Span[] {
  const { trace, parentSpanId, traceState, startedAt, phases, error } = observation;
  const { method, route, status, endedAt } = answered;
  const own: Span = {
    traceId: trace.traceId,
    spanId: trace.spanId,
    ...(parentSpanId !== null && { parentSpanId }),
    ...(traceState !== null && { traceState }),
    flags: SAMPLED,
    name: route === null ? method : `${method} ${route}`,
    kind: SPAN_KIND.server,
    startTimeUnixNano: nanoseconds(startedAt),
    endTimeUnixNano: nanoseconds(endedAt),
    attributes: attributesOf({
      "http.request.method": method,
      "http.route": route,
      "http.response.status_code": status,
      "error.type": status >= 500 ? (error ?? String(status)) : null,
      "attune.request_id": answered.requestId,
      "attune.project": answered.projectId,
      "attune.key": answered.keyId,
    }),
    // A client's mistake is no error of the server's.
    status: status >= 500 ? { code: STATUS_ERROR } : {},
  };
  return [own, ...phases.map((phase) => phaseSpan(observation, phase, endedAt))];
}

/** The body of `POST /v1/traces`. */
export function exportRequest(spans: readonly Span[]) {
  const resource = { attributes: attributesOf({ "service.name": "attune-edge" }) };
  return { resourceSpans: [{ resource, scopeSpans: [{ scope: SCOPE, spans }] }] };
}
