import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { createGzip } from "node:zlib";

/** A file of JSON lines that is there whole or not at all: it is written beside its place and moved there at the end. */
export class JsonLinesFile {
  readonly path: string;
  readonly #part: string;
  readonly #file: WriteStream;
  readonly #stream: Writable;
  readonly #closed: Promise<void>;
  #lines = 0;

  private constructor(path: string) {
    this.path = path;
    this.#part = `${path}.part-${process.pid}`;
    this.#file = createWriteStream(this.#part);
    const gzip = path.endsWith(".gz") ? createGzip() : undefined;
    gzip?.pipe(this.#file);
    this.#stream = gzip ?? this.#file;
    this.#closed = finished(this.#file);
    // Whoever writes next learns of it.
    this.#closed.catch(() => {});
  }

  /** @param path a name that ends in `.gz` is packed */
  static async create(path: string): Promise<JsonLinesFile> {
    await mkdir(dirname(path), { recursive: true });
    return new JsonLinesFile(path);
  }

  get lines(): number {
    return this.#lines;
  }

  /** @throws Error where the disk does not take it */
  async write(value: unknown): Promise<void> {
    this.#lines++;
    if (this.#file.errored) throw this.#file.errored;
    if (!this.#stream.write(`${JSON.stringify(value)}\n`))
      await Promise.race([once(this.#stream, "drain"), this.#closed]);
  }

  /** Puts the file in its place, over one of that name. */
  async commit(): Promise<void> {
    this.#stream.end();
    await this.#closed;
    await rename(this.#part, this.path);
  }

  /** Leaves nothing of what was not committed. */
  async discard(): Promise<void> {
    this.#stream.destroy();
    this.#file.destroy();
    await this.#closed.catch(() => {});
    await rm(this.#part, { force: true });
  }
}
