import { once } from "node:events";
import { SHARE_ENV, Worker } from "node:worker_threads";
import type { BuildSetup } from "./build-thread.ts";

/**
 * As `ensureDecoder`, in a thread of its own: building takes seconds, for a large model minutes, of which requests to other models
 * notice nothing.
 *
 * @param signal gives the build up; nothing half-written is left
 * @throws Error as `ensureDecoder`, or where it was given up
 */
export async function ensureDecoderMeanwhile(
  model: string,
  signal: AbortSignal,
  { precision = "int8", device, adapterBank = false }: Partial<Omit<BuildSetup, "model">> = {},
): Promise<string> {
  signal.throwIfAborted();
  const setup: BuildSetup = { model, precision, device, adapterBank };
  const thread = new Worker(new URL("./build-thread.ts", import.meta.url), { workerData: setup, env: SHARE_ENV });
  const giveUp = () => thread.postMessage("give up");
  signal.addEventListener("abort", giveUp);
  try {
    const [directory]: unknown[] = await once(thread, "message");
    return String(directory);
  } finally {
    signal.removeEventListener("abort", giveUp);
    await thread.terminate();
  }
}
