import { once } from "node:events";
import { SHARE_ENV, Worker } from "node:worker_threads";
import type { AdapterSetup } from "./adapter-thread.ts";

/**
 * Writes an adapter into the bank, in a thread of its own: whoever computes with the others notices nothing but the core that it takes.
 *
 * @param signal gives it up
 * @throws Error where the adapter or the model's norms cannot be read, or the adapter is no longer what it was
 */
export async function loadAdapter(setup: AdapterSetup, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const thread = new Worker(new URL("./adapter-thread.ts", import.meta.url), { workerData: setup, env: SHARE_ENV });
  try {
    await once(thread, "message", { signal });
  } finally {
    await thread.terminate();
  }
}
