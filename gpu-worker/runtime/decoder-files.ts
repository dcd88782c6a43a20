import { createHash, randomUUID } from "node:crypto";
import { access, type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { buildDecoder } from "../graph/decoder.ts";
import type { Precision, WeightLayout } from "../graph/precision.ts";
import { serialiseGraph, type WeightSink } from "../graph/serialise.ts";
import { openAdapter } from "../model/adapter.ts";
import { cacheDirectory } from "../model/cache.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { mergedWeights } from "../model/merge.ts";
import { CPU, type Device } from "./device.ts";
import { int8Layout } from "./int8-layout.ts";
import type { Provider } from "./onnxruntime/library.ts";

export const GRAPH_FILE = "decoder.onnx";
const WEIGHTS_FILE = "decoder.weights";

/** Counts up when the numbers in the weights file change while the graph stays the same. */
const WEIGHTS_VERSION = 1;

/** Page size: onnxruntime maps constants of an external file where they start on a page. */
const ALIGNMENT = 4096;

/** How this machine, or a device of it, holds matrices of a precision. */
export function layoutOf(precision: Precision, provider: Provider = "cpu"): WeightLayout {
  if (precision === "fp32") return "fp32";
  // Whole channels are for processors: WebGPU has no kernel for them.
  return provider === "webgpu" ? "int8-blocks" : int8Layout();
}

type BuildOptions = {
  /** Directory of a LoRA in PEFT's format, which is merged into the weights. */
  adapter?: string | undefined;
  precision?: Precision;
  /** What the decoder is for; the processor where nothing is said. */
  device?: Device | undefined;
  /** Whether rows may have adapters of their own (graph/adapter-bank.ts). */
  adapterBank?: boolean | undefined;
  /** Where to keep what was built. */
  cache?: string;
  /** Called with the share of weights written, 0–1. */
  onProgress?: (fraction: number) => void;
};

/**
 * The decoder of a model as ONNX files, built once for its weights and the adapter's, and the shape of the graph.
 *
 * A directory appears under its final name only when it is complete, so a build that was interrupted, or two at once, leave
 * nothing half-written behind.
 *
 * @param model a GGUF file, or a directory as transformers saves it
 * @returns the directory that `DecoderSession.load` reads.
 * @throws Error where the model or the adapter cannot be read, or they do not fit together
 */
export async function ensureDecoder(model: string, options: BuildOptions = {}): Promise<string> {
  const { precision = "int8", device = CPU, cache = cacheDirectory(), onProgress = () => {} } = options;
  await using opened = new AsyncDisposableStack();
  const checkpoint = await openCheckpoint(model);
  opened.defer(checkpoint.close);
  const { config, weights } = checkpoint;
  const adapter = options.adapter === undefined ? null : await openAdapter(options.adapter);
  if (adapter !== null) opened.defer(adapter.close);
  const source = adapter === null ? weights : mergedWeights(weights, config, adapter);
  const layout = layoutOf(precision, device.provider);
  const graph = buildDecoder(config, source, layout, { adapterBank: options.adapterBank, kvType: device.kvType });

  const content = createHash("sha256").update(await checkpoint.contentHash());
  const { initializers, ...structure } = graph;
  const shapes = initializers.map(({ name, type, shape }) => ({ name, type, shape }));
  content.update(JSON.stringify({ WEIGHTS_VERSION, config, structure, shapes, adapter: adapter?.contentHash }));
  const decoders = join(cache, "decoders");
  const directory = join(decoders, `${layout}-${content.digest("hex").slice(0, 32)}`);
  if (!(await exists(directory))) {
    await writeWhole(decoders, directory, (sink) => serialiseGraph(graph, sink, onProgress));
  }
  return directory;
}

/** What writes the weights into a sink and returns the graph that refers to them. */
type Serialise = (sink: WeightSink) => Promise<Uint8Array>;

export async function writeWhole(decoders: string, directory: string, serialise: Serialise): Promise<void> {
  const unfinished = join(decoders, `.building-${randomUUID()}`);
  await mkdir(unfinished, { recursive: true });
  try {
    await writeFiles(unfinished, serialise);
    await rename(unfinished, directory).catch(async (error: unknown) => {
      // Another process finished the same decoder first; its files are as good as ours.
      if (!(await exists(directory))) throw error;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function writeFiles(directory: string, serialise: Serialise): Promise<void> {
  const weights = await open(join(directory, WEIGHTS_FILE), "w");
  try {
    let end = 0;
    const graph = await serialise(async (bytes) => {
      const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
      await writeFully(weights, bytes, offset);
      end = offset + bytes.length;
      return { location: WEIGHTS_FILE, offset };
    });
    await weights.sync();
    const file = await open(join(directory, GRAPH_FILE), "w");
    try {
      await writeFully(file, graph, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await weights.close();
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}
