/** Builds a decoder in a thread of its own, so that whoever serves meanwhile is not held up. */
import { parentPort, workerData } from "node:worker_threads";
import type { Precision } from "../graph/precision.ts";
import { ensureDecoder } from "./decoder-files.ts";
import type { Device } from "./device.ts";

/** What the thread is started with. Any message to it gives the build up. */
export type BuildSetup = {
  model: string;
  precision: Precision;
  device: Device | undefined;
  adapterBank: boolean;
};

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread");
const { model, ...options }: BuildSetup = workerData;
let givenUp = false;
port.once("message", () => {
  givenUp = true;
});

// Between two weights, and by an error: what was written is then removed.
const onProgress = () => {
  if (givenUp) throw new Error("The build was given up");
};
port.postMessage(await ensureDecoder(model, { ...options, onProgress }));
