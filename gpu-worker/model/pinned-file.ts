import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { reasonOf } from "./http-error.ts";
import { claimPart, DiskError, fileSize, onDisk, releasePart, removeParts } from "./part-file.ts";

/** What a file's bytes must hash to: plainly, or as git names a file of its own, which is how the hub knows small ones. */
type Digest = { algorithm: "sha256" | "git-blob-sha1"; hex: string };

/** A file known by its content. `file` is its path below the directory it belongs in. */
export type PinnedFile = { file: string; bytes: number; digest: Digest };

/** Somewhere a pinned file can be had from. */
export type FileSource = {
  /** As error messages and progress name it. */
  name: string;
  /** Completes the file at `part`, which may hold the beginning of it. Throws an Error whose message is the reason. */
  complete(part: string, file: PinnedFile, onReceived: (received: number) => void, signal: AbortSignal): Promise<void>;
};

export type PullFileOptions = {
  /** @param received Bytes of the file so far. @param source Where they come from; `null` where the file was there. */
  onReceived: (received: number, source: string | null) => void;
  signal: AbortSignal;
};

/**
 * Puts a file below `directory`, unless it is there already and has the right content: from each source in turn, until one has it.
 *
 * A download that broke off is continued by the next call. The file appears under its name only when complete and on disk; two
 * processes at once do not disturb each other.
 *
 * @returns its path
 * @throws Error that names every source tried and its reason
 * @throws DiskError where the directory cannot be written
 * @throws the signal's reason, once it is aborted
 */
export async function pullFile(
  file: PinnedFile,
  directory: string,
  sources: FileSource[],
  { onReceived, signal }: PullFileOptions,
): Promise<string> {
  const target = join(directory, file.file);
  const cached = await cacheState(target, file);
  if (cached === "good") {
    onReceived(file.bytes, null);
    return target;
  }

  const [folder, name] = [dirname(target), basename(target)];
  const part = await claimPart(folder, name);
  const failures = [`the cache, ${target}: ${cached}`];
  for (const source of sources) {
    try {
      await completeAndVerify(source, part, file, (received) => onReceived(received, source.name), signal);
      await onDisk(folder, publish(part, target));
      await removeParts(folder, name);
      onReceived(file.bytes, source.name);
      return target;
    } catch (error) {
      if (error instanceof DiskError || signal.aborted) {
        await releasePart(part);
        throw signal.aborted ? signal.reason : error;
      }
      failures.push(`${source.name}: ${reasonOf(error)}`);
    }
  }
  await releasePart(part);
  throw new Error(`Could not obtain ${file.file}. Tried:\n${failures.map((failure) => `  - ${failure}`).join("\n")}`);
}

async function digestOf(path: string, algorithm: Digest["algorithm"]): Promise<string> {
  const hash = createHash(algorithm === "sha256" ? "sha256" : "sha1");
  if (algorithm === "git-blob-sha1") hash.update(`blob ${await fileSize(path)}\0`);
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

async function cacheState(target: string, { bytes, digest }: PinnedFile): Promise<"good" | "not there" | "damaged"> {
  const size = await fileSize(target);
  if (size === 0) return "not there";
  return size === bytes && (await digestOf(target, digest.algorithm)) === digest.hex ? "good" : "damaged";
}

/** A wrong file that was begun by an earlier run is tried once more from its first byte: the earlier bytes may be the wrong ones. */
async function completeAndVerify(
  source: FileSource,
  part: string,
  file: PinnedFile,
  onReceived: (received: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const resumed = (await fileSize(part)) > 0;
  await source.complete(part, file, onReceived, signal);
  const { algorithm, hex } = file.digest;
  const actual = await digestOf(part, algorithm);
  if (actual === hex) return;
  await rm(part, { force: true });
  if (resumed) return completeAndVerify(source, part, file, onReceived, signal);
  const name = algorithm === "sha256" ? "SHA-256" : "git blob hash";
  throw new Error(`the file has ${name} ${actual}, expected ${hex}`);
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
