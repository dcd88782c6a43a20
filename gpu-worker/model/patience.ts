import { setTimeout } from "node:timers/promises";
import { BrokenConnection, HttpError } from "./http-error.ts";

/** How failures that may pass are waited out. */
export type Patience = {
  /** Milliseconds before each further try, where the server does not say when. */
  delays: number[];
  /** A server that asks for more milliseconds than this is given up. */
  longest: number;
  sleep: (milliseconds: number, signal: AbortSignal) => Promise<unknown>;
};

export const PATIENCE: Patience = {
  delays: [1000, 2000, 4000, 8000],
  longest: 60_000,
  sleep: (milliseconds, signal) => setTimeout(milliseconds, undefined, { signal }),
};

/** Too many requests, a server's own failure, or a broken connection. */
export function mayPass(error: unknown): boolean {
  if (error instanceof BrokenConnection) return true;
  return error instanceof HttpError && (error.status === 408 || error.status === 429 || error.status >= 500);
}

/** Does `work`, again after a while where it fails in a way that may pass. @throws what the last try threw */
export async function patiently<T>(work: () => Promise<T>, patience: Patience, signal: AbortSignal): Promise<T> {
  for (const delay of patience.delays) {
    try {
      return await work();
    } catch (error) {
      const wait = (error instanceof HttpError ? error.retryAfter : null) ?? delay;
      if (signal.aborted || !mayPass(error) || wait > patience.longest) throw error;
      await patience.sleep(wait, signal);
    }
  }
  return work();
}
