import { Batch } from "../batch.ts";
import { exportRequest, type Span } from "./otlp.ts";

/** A second of spans goes out together. */
const waiting = new Batch<Span>({ waitMs: 1_000, most: 2_000 });
const TIMEOUT_MS = 5_000;

function readHeaders(text: string): [string, string][] {
  return text.split(",").flatMap((pair): [string, string][] => {
    const cut = pair.indexOf("=");
    return cut <= 0 ? [] : [[pair.slice(0, cut).trim(), decodeURIComponent(pair.slice(cut + 1).trim())]];
  });
}

/** @returns why it failed, or `null`; never an error's own text, which could repeat a header, a secret */
async function send(endpoint: string, headers: string, spans: readonly Span[]): Promise<string | null> {
  try {
    const response = await fetch(`${endpoint.replace(/\/+$/, "")}/v1/traces`, {
      method: "POST",
      headers: [["content-type", "application/json"], ...readHeaders(headers)],
      body: JSON.stringify(exportRequest(spans)),
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.ok ? null : `answered ${response.status}`;
  } catch (error) {
    return error instanceof Error ? error.name : "unknown";
  }
}

const logDropped = (spans: number, reason: string) =>
  console.error(JSON.stringify({ event: "spans_dropped", spans, reason }));

/**
 * Sends spans to a collector, along with what other requests leave behind in the same second. Never throws, and never tries again: what
 * cannot be sent is dropped, and the log says so.
 *
 * @param endpoint the collector's base address, as in OTEL_EXPORTER_OTLP_ENDPOINT
 * @param headers `name=value,name=value`, percent-encoded, as in OTEL_EXPORTER_OTLP_HEADERS
 */
export async function exportSpans(endpoint: string, headers: string, spans: readonly Span[]): Promise<void> {
  const tooMany = spans.filter((span) => !waiting.add(span)).length;
  if (tooMany > 0) logDropped(tooMany, "too many at once");
  const together = await waiting.collect(Date.now());
  if (together.length === 0) return;
  const failure = await send(endpoint, headers, together);
  if (failure !== null) logDropped(together.length, failure);
}
