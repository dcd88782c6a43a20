import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { buildDecoder } from "../graph/decoder.ts";
import type { Precision } from "../graph/layers.ts";
import { serialiseGraph, type WeightSink } from "../graph/serialise.ts";
import { cacheDirectory } from "../model/cache.ts";
import { readDecoderConfig } from "../model/config.ts";
import { openGguf } from "../model/gguf.ts";
import { ggufWeights } from "../model/weights.ts";

export const GRAPH_FILE = "decoder.onnx";
const WEIGHTS_FILE = "decoder.weights";

/** Counts up when the numbers in the weights file change while the graph stays the same. */
const WEIGHTS_VERSION = 1;

/** Page size: onnxruntime maps constants of an external file where they start on a page. */
const ALIGNMENT = 4096;

type BuildOptions = {
  precision?: Precision;
  /** Where to keep what was built. */
  cache?: string;
  /** Called with the share of weights written, 0–1. */
  onProgress?: (fraction: number) => void;
};

/**
 * The decoder of a GGUF as ONNX files, built once for the contents of that file and the shape of the graph.
 *
 * A directory appears under its final name only when it is complete, so a build that was interrupted, or two at once, leave
 * nothing half-written behind.
 *
 * @returns the directory that `DecoderSession.load` reads.
 */
export async function ensureDecoder(ggufPath: string, options: BuildOptions = {}): Promise<string> {
  const { precision = "int8", cache = cacheDirectory(), onProgress = () => {} } = options;
  const gguf = await openGguf(ggufPath);
  try {
    const config = readDecoderConfig(gguf);
    const graph = buildDecoder(config, ggufWeights(gguf, config), precision);
    const content = createHash("sha256");
    for await (const chunk of createReadStream(ggufPath, { highWaterMark: 1 << 20 })) content.update(chunk);
    const { initializers, ...structure } = graph;
    const shapes = initializers.map(({ name, type, shape }) => ({ name, type, shape }));
    content.update(JSON.stringify({ WEIGHTS_VERSION, config, structure, shapes }));

    const decoders = join(cache, "decoders");
    const directory = join(decoders, `${precision}-${content.digest("hex").slice(0, 32)}`);
    if (await exists(directory)) return directory;
    const unfinished = join(decoders, `.building-${randomUUID()}`);
    await mkdir(unfinished, { recursive: true });
    try {
      await writeFiles(unfinished, (sink) => serialiseGraph(graph, sink, onProgress));
      await rename(unfinished, directory).catch(async (error: unknown) => {
        // Another process finished the same decoder first; its files are as good as ours.
        if (!(await exists(directory))) throw error;
      });
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
    return directory;
  } finally {
    await gguf.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function writeFiles(directory: string, serialise: (sink: WeightSink) => Promise<Uint8Array>): Promise<void> {
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
