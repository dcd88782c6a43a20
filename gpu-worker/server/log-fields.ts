import type { IncomingMessage } from "node:http";
import { parseTraceparent, TRACEPARENT_HEADER } from "../../schema/wire/trace-context.ts";

const REQUEST_ID = /^[\w=-]{1,128}$/;

/** What every line of the log that is about a request of the edge has: its id there, and its place in a trace. */
export function logFields({ headers }: IncomingMessage): Record<string, string> {
  const requestId = headers["x-request-id"];
  const traceparent = headers[TRACEPARENT_HEADER];
  const trace = parseTraceparent(typeof traceparent === "string" ? traceparent : null);
  return {
    ...(typeof requestId === "string" && REQUEST_ID.test(requestId) && { request_id: requestId }),
    ...(trace !== null && { trace_id: trace.traceId, span_id: trace.spanId }),
  };
}
