/** Writes an adapter into the bank in a thread of its own: reading, rotating and transposing it takes a second. */
import { parentPort, workerData } from "node:worker_threads";
import type { Precision } from "../graph/precision.ts";
import { rotatedUpdate } from "../graph/rotated-weights.ts";
import { openAdapter } from "../model/adapter.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { AdapterBank, type BankRange } from "./adapter-bank.ts";
import { layoutOf } from "./decoder-files.ts";
import type { Provider } from "./onnxruntime/library.ts";

/** What the thread is started with. */
export type AdapterSetup = {
  /** As `ensureDecoder` takes them. */
  model: string;
  precision: Precision;
  provider: Provider;
  /** Directory of the adapter, and the hash of what it held when it was given its place. */
  directory: string;
  contentHash: string;
  memory: SharedArrayBuffer;
  range: BankRange;
};

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread");
const { model, precision, provider, directory, contentHash, memory, range }: AdapterSetup = workerData;

await using opened = new AsyncDisposableStack();
const { config, weights, close } = await openCheckpoint(model);
opened.defer(close);
const adapter = await openAdapter(directory);
opened.defer(adapter.close);
if (adapter.contentHash !== contentHash) throw new Error(`${directory} was changed while it was being loaded.`);
const isRotated = layoutOf(precision, provider) === "int8-channels";
await new AdapterBank(config, memory).write(range, async (module) => {
  const update = adapter.updates.get(module);
  if (update === undefined) return null;
  const { rank, scale } = update;
  const [down, up] = await Promise.all([update.down(), update.up()]);
  if (!isRotated) return { rank, scale, down, up };
  const basis = rotatedUpdate(weights, config, module);
  return { rank, scale, down: await basis.down(down), up: await basis.up(up) };
});
port.postMessage("written");
