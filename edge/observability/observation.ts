import {
  formatTraceparent,
  parseTraceparent,
  readTracestate,
  TRACEPARENT_HEADER,
  TRACESTATE_HEADER,
  type TraceContext,
} from "../../schema/wire/trace-context.ts";
import { blockRandomBytes, type RandomBytes } from "../base62.ts";
import { toHex } from "../hex.ts";
import type { UsageRecord } from "../usage/usage-record.ts";

/** What a request spends its time on, in this order; a route takes those that it needs. */
export type Phase = "auth" | "plan" | "limits" | "upstream";

/** One phase; times in Unix milliseconds. */
export type MeasuredPhase = { name: Phase; startedAt: number; endedAt: number };

type Options = {
  now: () => number;
  randomBytes: RandomBytes;
  /** Whether the traces that begin here are recorded. */
  records: boolean;
};

/** Random bytes in hex. */
export function randomHex(bytes: number, randomBytes: RandomBytes): string {
  return toHex(randomBytes(bytes));
}

const SPAN_DIGITS = 16;
const TRACE_DIGITS = 32;

/**
 * What is noticed of one request: its place in a trace, and how long each phase took. The clock of a Worker stands still while it
 * computes, so a phase that waits for nothing takes 0 ms.
 */
export class Observation {
  readonly startedAt: number;
  /** The span of the request itself, in the caller's trace where it named one. */
  readonly trace: TraceContext;
  readonly parentSpanId: string | null;
  readonly traceState: string | null;
  readonly phases: MeasuredPhase[] = [];
  /** Code of the error that it was answered with. */
  error: string | null = null;
  /** What became of the generation, where the request was one and it has ended. */
  usage: UsageRecord | null = null;
  /** Settles when the request is over, which may be long after its answer began. */
  over: Promise<void> = Promise.resolve();
  /** The span of the phase `upstream`, which the inference worker's own come under. */
  readonly upstreamSpanId: string;
  readonly #options: Options;

  constructor(headers: Headers, options: Partial<Options> = {}) {
    this.#options = { now: Date.now, randomBytes: blockRandomBytes, records: false, ...options };
    this.startedAt = this.#options.now();
    const parent = parseTraceparent(headers.get(TRACEPARENT_HEADER));
    this.parentSpanId = parent?.spanId ?? null;
    this.traceState = parent === null ? null : readTracestate(headers.get(TRACESTATE_HEADER));
    const digits = randomHex((2 * SPAN_DIGITS + TRACE_DIGITS) / 2, this.#options.randomBytes);
    this.trace = {
      traceId: parent?.traceId ?? digits.slice(2 * SPAN_DIGITS),
      spanId: digits.slice(0, SPAN_DIGITS),
      sampled: parent?.sampled ?? this.#options.records,
    };
    this.upstreamSpanId = digits.slice(SPAN_DIGITS, 2 * SPAN_DIGITS);
  }

  /** What the inference worker is told: the same trace, under the span of the phase `upstream`. */
  get traceHeaders(): Record<string, string> {
    return {
      [TRACEPARENT_HEADER]: formatTraceparent({ ...this.trace, spanId: this.upstreamSpanId }),
      ...(this.traceState !== null && { [TRACESTATE_HEADER]: this.traceState }),
    };
  }

  /** Does the work of a phase, and notes how long it took, also where it fails. */
  async measure<T>(name: Phase, work: () => Promise<T>): Promise<T> {
    const startedAt = this.#options.now();
    try {
      return await work();
    } finally {
      this.phases.push({ name, startedAt, endedAt: this.#options.now() });
    }
  }
}
