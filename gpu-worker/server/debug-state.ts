import { importSigningKey, signRequest } from "../../schema/wire/signature.ts";
import type { EngineState } from "../engine/engine-state.ts";
import type { ModelHosts } from "./model-hosts.ts";

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

/** Asks a worker for its state, signed as the edge signs. @throws Error with the worker's words where it refuses */
export async function fetchDebugState(origin: string, secret: string): Promise<unknown> {
  const parts = { method: "GET", path: DEBUG_STATE_PATH, body: "" };
  const headers = await signRequest(await importSigningKey(secret), parts, Date.now() / 1000);
  const response = await fetch(new URL(DEBUG_STATE_PATH, origin), { headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`${origin} answers ${response.status}: ${text}`);
  return JSON.parse(text);
}
