/** W3C Trace Context, version 00: https://www.w3.org/TR/trace-context/ */
export const TRACEPARENT_HEADER = "traceparent";
export const TRACESTATE_HEADER = "tracestate";

/** Names one span of one trace. */
export type TraceContext = {
  /** 32 hex digits. */
  traceId: string;
  /** 16 hex digits. */
  spanId: string;
  /** Whether whoever began the trace records it. */
  sampled: boolean;
};

/** Later versions may add to what version 00 says, after a dash. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/** Reads `traceparent`; `null` where there is none or it is malformed, which begins a new trace. */
export function parseTraceparent(header: string | null | undefined): TraceContext | null {
  const [, version, traceId = "", spanId = "", flags = "", more] = TRACEPARENT.exec(header ?? "") ?? [];
  if (version === undefined || (version === "00" && more !== undefined)) return null;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED };
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
}

const KEY = /^[a-z0-9][a-z0-9_\-*/]{0,240}(?:@[a-z][a-z0-9_\-*/]{0,13})?$|^[a-z][a-z0-9_\-*/]{0,255}$/;
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const MOST_MEMBERS = 32;
/** What has to be passed on at least; more than that is not. */
const MOST_CHARACTERS = 512;

/** `tracestate` as it is passed on: unchanged, or `null` where there is none or it is malformed. */
export function readTracestate(header: string | null | undefined): string | null {
  if (header == null || header.length > MOST_CHARACTERS) return null;
  const members = header.split(",").map((member) => member.trim());
  const keys = new Set<string>();
  for (const member of members) {
    if (member === "") continue;
    const cut = member.indexOf("=");
    const key = member.slice(0, Math.max(0, cut));
    if (!KEY.test(key) || !VALUE.test(member.slice(cut + 1)) || keys.has(key)) return null;
    keys.add(key);
  }
  return keys.size === 0 || keys.size > MOST_MEMBERS ? null : header;
}
