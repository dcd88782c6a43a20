import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { cacheDirectory } from "./cache.ts";
import { reasonOf } from "./download.ts";
import { DEFAULT_MODEL, defaultSources, type ModelSource, type PinnedFile } from "./model-sources.ts";
import { claimPart, DiskError, fileSize, onDisk, releasePart, removeParts } from "./part-file.ts";

/** Bytes so far of one source's file. */
export type PullProgress = { source: string; received: number; total: number };

export type PullOptions = {
  /** A model of the user's own, a GGUF file or a directory with safetensors: taken as it is, whatever its content. */
  path?: string | undefined;
  cache?: string;
  file?: PinnedFile;
  sources?: ModelSource[];
  onProgress?: (progress: PullProgress) => void;
};

/**
 * The path of a model file that is complete and, unless it is the user's own, has the pinned SHA-256.
 *
 * In order: `path`, else `ATTUNE_MODEL`; the cache; each source. A download that broke off is continued by the next call. The file
 * appears in the cache under its name only when complete and on disk; two processes at once do not disturb each other.
 *
 * @throws Error that names every source tried, its reason, and how to give a local path
 * @throws DiskError where the cache cannot be written
 */
export async function pullModel(options: PullOptions = {}): Promise<string> {
  const own = options.path ?? process.env.ATTUNE_MODEL;
  if (own !== undefined && own !== "") return localFile(own);
  const { file = DEFAULT_MODEL, sources = defaultSources(), onProgress } = options;
  const directory = join(options.cache ?? cacheDirectory(), "models");
  const target = join(directory, file.file);
  const cached = await cacheState(target, file);
  if (cached === "good") return target;

  const part = await claimPart(directory, file.file);
  const failures = [`the cache, ${target}: ${cached}`];
  for (const source of sources) {
    try {
      const onReceived = (received: number) => onProgress?.({ source: source.name, received, total: file.bytes });
      await completeAndVerify(source, part, file, onReceived);
      await onDisk(directory, publish(part, target));
      await removeParts(directory, file.file);
      return target;
    } catch (error) {
      if (error instanceof DiskError) {
        await releasePart(part);
        throw error;
      }
      failures.push(`${source.name}: ${reasonOf(error)}`);
    }
  }
  await releasePart(part);
  throw new Error(
    `Could not obtain the model ${file.file}. Tried:\n${failures.map((failure) => `  - ${failure}`).join("\n")}\n` +
      "Get a GGUF file of a Llama-family model in any other way and give its path: npm start -- --model FILE, or set ATTUNE_MODEL=FILE.",
  );
}

async function localFile(path: string): Promise<string> {
  const stats = await stat(path).catch((error: unknown) => {
    throw new Error(`There is no model file at ${path} (${reasonOf(error)}). Check --model and ATTUNE_MODEL.`);
  });
  const isDirectory = stats.isDirectory() && (await fileSize(join(path, "config.json"))) > 0;
  if (stats.isFile() || isDirectory) return path;
  throw new Error(
    `${path} is no model. --model and ATTUNE_MODEL take a GGUF file, or a directory with config.json and safetensors.`,
  );
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

async function cacheState(target: string, file: PinnedFile): Promise<"good" | "not there" | "damaged"> {
  const size = await fileSize(target);
  if (size === 0) return "not there";
  return size === file.bytes && (await sha256(target)) === file.sha256 ? "good" : "damaged";
}

/** A wrong file that was begun by an earlier run is tried once more from its first byte: the earlier bytes may be the wrong ones. */
async function completeAndVerify(
  source: ModelSource,
  part: string,
  file: PinnedFile,
  onReceived: (received: number) => void,
): Promise<void> {
  const resumed = (await fileSize(part)) > 0;
  await source.complete(part, file, onReceived);
  const actual = await sha256(part);
  if (actual === file.sha256) return;
  await rm(part, { force: true });
  if (resumed) return completeAndVerify(source, part, file, onReceived);
  throw new Error(`the file has SHA-256 ${actual}, expected ${file.sha256}`);
}

/** Puts the complete part in its place: its bytes reach the disk before its name does. */
async function publish(part: string, target: string): Promise<void> {
  const file = await open(part, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, target);
}
