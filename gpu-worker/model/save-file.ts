import { open, rename, rm } from "node:fs/promises";

const WHAT_FAILED: Record<string, string> = {
  ENOSPC: "no space is left",
  EDQUOT: "the disk quota is used up",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
};

/** What went wrong with a file, and what to do. */
export function writingFailed(path: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = WHAT_FAILED[code] ?? (error instanceof Error ? error.message : String(error));
  return new Error(`Cannot write ${path}: ${reason}. What was there before is kept; put that right, and go on.`, {
    cause: error,
  });
}

/**
 * Writes a file that is there whole or not at all, whatever ends the process or the machine: beside its place, through to the disk, and
 * moved there at last. Only one at a time may write a file of that name.
 *
 * @throws Error that says what to do, where the disk does not take it; what was there before is still there
 */
export async function saveFile(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const part = `${path}.part`;
  const file = await open(part, "w").catch((error: unknown) => {
    throw writingFailed(path, error);
  });
  try {
    try {
      for (const piece of pieces) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw writingFailed(path, error);
  }
}
