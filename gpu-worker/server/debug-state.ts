import type { EngineState } from "../engine/engine-state.ts";
import type { ModelHosts } from "./model-hosts.ts";
import { signedCall } from "./signed-call.ts";

/** Where a worker tells its state to whoever signs with its secret. */
export const DEBUG_STATE_PATH = "/debug/state";

/** One model of a worker, as operators see it. */
export type ModelState = {
  id: string;
  weights: { adapter: string | null; state: "not_loaded" | "loading" | "ready"; bytes: number | null };
  /** `null` while the weights are not loaded. */
  engine: EngineState | null;
};

/** The body of `GET /debug/state`. Counts, ages and ids only: never a text or a token of a request, never a secret. */
export type DebugState = {
  uptime_seconds: number;
  draining: boolean;
  models: ModelState[];
  memory: { rss_bytes: number; heap_used_bytes: number; array_buffers_bytes: number; external_bytes: number };
};

export function debugState(hosts: ModelHosts, draining: boolean): DebugState {
  const { rss, heapUsed, arrayBuffers, external } = process.memoryUsage();
  return {
    uptime_seconds: process.uptime(),
    draining,
    models: hosts.inspect(),
    memory: {
      rss_bytes: rss,
      heap_used_bytes: heapUsed,
      array_buffers_bytes: arrayBuffers,
      external_bytes: external,
    },
  };
}

/** Asks a worker for its state. @throws Error with the worker's words where it refuses */
export function fetchDebugState(origin: string, secret: string): Promise<unknown> {
  return signedCall({ origin, secret }, "GET", DEBUG_STATE_PATH);
}
