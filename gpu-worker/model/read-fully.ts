import type { FileHandle } from "node:fs/promises";

/** Node reads at most 2 GiB at once. */
const READ_BYTES = 1 << 30;

/**
 * `length` bytes of an open file from `offset` on.
 *
 * @param path what the error message calls the file
 * @throws Error where the file ends before
 */
export async function readFully(
  path: string,
  file: FileHandle,
  offset: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length; ) {
    const wanted = Math.min(READ_BYTES, length - filled);
    const { bytesRead } = await file.read(bytes, filled, wanted, offset + filled);
    if (bytesRead === 0) throw new Error(`${path} ends at byte ${offset + filled}; it was cut while open.`);
    filled += bytesRead;
  }
  return bytes;
}
