import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";

/** What went wrong with our own disk, as against with a source. No other source would help. */
export class DiskError extends Error {
  override readonly name = "DiskError";
}

const WHAT_FAILED: Record<string, string> = {
  ENOSPC: "no space is left",
  EDQUOT: "the disk quota is used up",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of the path is a file",
};

/** @throws DiskError that names `directory` and what to do, where `work` fails */
export async function onDisk<T>(directory: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const reason = WHAT_FAILED[code] ?? (error instanceof Error ? error.message : String(error));
    const advice = "Make room or set ATTUNE_CACHE_DIR to another directory.";
    throw new DiskError(`Cannot write to ${directory}: ${reason}. ${advice}`, { cause: error });
  }
}

/** Names of a process's own part files, and of its scratch directory, end so. The host tells apart containers on one volume. */
const HOST = hostname().replace(/[^0-9A-Za-z]/g, "_");
const OWNED = /\.part-([0-9A-Za-z_]+)-(\d+)-[0-9a-f-]{36}(\.scratch)?$/;

/** Milliseconds after which nobody can still be writing to a part, whoever its owner: downloads give up long before. */
const ABANDONED_AFTER = 3_600_000;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Whether a part was given back, its process on this machine is gone, or it is old. */
function isAbandoned(name: string, modified: number): boolean {
  const owner = OWNED.exec(name);
  if (owner === null || Date.now() - modified > ABANDONED_AFTER) return true;
  return owner[1] === HOST && !isAlive(Number(owner[2]));
}

/** What abandoned runs left of `file`, the largest first. */
async function abandonedParts(directory: string, file: string) {
  const names = (await onDisk(directory, readdir(directory))).filter((name) => name.startsWith(`${file}.part`));
  const parts = await Promise.all(
    names.map(async (name) => {
      const path = join(directory, name);
      const stats = await stat(path).catch(() => undefined);
      return stats !== undefined && isAbandoned(name, stats.mtimeMs)
        ? [{ path, size: stats.size, isFile: stats.isFile() }]
        : [];
    }),
  );
  return parts.flat().sort((a, b) => b.size - a.size);
}

/** Bytes in the file, 0 where there is none. */
export async function fileSize(path: string): Promise<number> {
  return stat(path).then(
    (stats) => stats.size,
    () => 0,
  );
}

/**
 * A path for the unfinished `file` that only this call writes to, holding what an earlier, broken run left behind. Renaming is
 * atomic, so of two processes one gets the old bytes and the other starts afresh, and neither waits for a lock.
 *
 * @throws DiskError
 */
export async function claimPart(directory: string, file: string): Promise<string> {
  await onDisk(directory, mkdir(directory, { recursive: true }));
  const own = join(directory, `${file}.part-${HOST}-${process.pid}-${randomUUID()}`);
  for (const { path, isFile } of await abandonedParts(directory, file)) {
    if (!isFile) continue;
    const claimed = await rename(path, own).then(
      () => true,
      () => false,
    );
    if (!claimed) continue;
    // An old part would look abandoned to others until its first new byte.
    await utimes(own, new Date(), new Date());
    break;
  }
  return own;
}

/** A directory beside a part for what a source needs meanwhile; cleaned up with the parts if its process dies. */
export const scratchBeside = (part: string): string => `${part}.scratch`;

/** Gives an unfinished part back for the next run to go on with. */
export async function releasePart(part: string): Promise<void> {
  await rename(part, part.replace(OWNED, ".part")).catch(() => {});
}

/** Deletes what abandoned runs left of `file`, once it is complete. */
export async function removeParts(directory: string, file: string): Promise<void> {
  for (const { path } of await abandonedParts(directory, file)) await rm(path, { recursive: true, force: true });
}
