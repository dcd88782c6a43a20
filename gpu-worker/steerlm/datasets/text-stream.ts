import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { pipeline, type Readable, Transform } from "node:stream";
import { createGunzip } from "node:zlib";

/** How far a file has been read, in bytes of the file as it is stored. */
type ReadProgress = { done: number; total: number };
export type OnProgress = (progress: ReadProgress) => void;

const LEADING = 4;

/** The first bytes of a file, by which its packing is known: names lie. */
export async function leadingBytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LEADING), 0, LEADING, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

const isGzip = (leading: Buffer) => leading[0] === 0x1f && leading[1] === 0x8b;

/**
 * The text of a file, plain or gzip, a piece at a time.
 *
 * @throws Error that names the file where it cannot be read or its gzip stream is broken or cut off
 */
export async function* textStream(path: string, onProgress: OnProgress): AsyncGenerator<string> {
  const { size: total } = await stat(path);
  let done = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      done += chunk.length;
      onProgress({ done, total });
      next(null, chunk);
    },
  });
  const source = createReadStream(path);
  // A failure anywhere destroys the last stream with it, so reading that one reports it.
  const reported = () => {};
  const text: Readable = isGzip(await leadingBytes(path))
    ? pipeline(source, counted, createGunzip(), reported)
    : pipeline(source, counted, reported);
  text.setEncoding("utf8");
  let first = true;
  try {
    for await (const piece of text) {
      const chunk = String(piece);
      yield first ? chunk.replace(/^\uFEFF/, "") : chunk;
      first = false;
    }
  } catch (error) {
    throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
