import { type FileHandle, open, readFile } from "node:fs/promises";
import type { z } from "zod";
import { writingFailed } from "../../model/save-file.ts";

const NEWLINE = 0x0a;

/** Where the last whole line ends: a run that died while writing leaves half of one. */
const wholeLines = (bytes: Uint8Array): number => bytes.lastIndexOf(NEWLINE) + 1;

/** Lines of JSON that are only ever added to, so that whatever was finished before an interruption is still there. */
export class JsonlLog<T> {
  readonly path: string;
  /** What was there when it was opened. */
  readonly rows: readonly T[];
  readonly #file: FileHandle;
  /** One line after the other; after one that failed no other may follow the half of it that is there. */
  #written: Promise<void> = Promise.resolve();

  private constructor(path: string, rows: T[], file: FileHandle) {
    this.path = path;
    this.rows = rows;
    this.#file = file;
  }

  /** @throws Error that names the line where the file holds something else */
  static async open<T>(path: string, schema: z.ZodType<T>): Promise<JsonlLog<T>> {
    const file = await open(path, "a+");
    try {
      const bytes = await file.readFile();
      const whole = wholeLines(bytes);
      if (whole < bytes.length) await file.truncate(whole);
      return new JsonlLog(path, parseLines(path, bytes.subarray(0, whole), schema), file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Adds a row. @throws Error that says what to do, where the disk does not take it */
  append(row: T): Promise<void> {
    this.#written = this.#written
      .then(() => this.#file.appendFile(`${JSON.stringify(row)}\n`))
      .catch((error: unknown) => {
        throw writingFailed(this.path, error);
      });
    return this.#written;
  }

  async close(): Promise<void> {
    await this.#written.catch(() => {});
    await this.#file.sync();
    await this.#file.close();
  }
}

/** The rows of a log that nobody is going to add to; none where there is no file. @throws Error as {@link JsonlLog.open} */
export async function readJsonl<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return Buffer.alloc(0);
    throw error;
  });
  return parseLines(path, bytes.subarray(0, wholeLines(bytes)), schema);
}

function parseLines<T>(path: string, bytes: Uint8Array, schema: z.ZodType<T>): T[] {
  const lines = new TextDecoder().decode(bytes).split("\n");
  return lines.flatMap((line, index) => {
    if (line === "") return [];
    const fail = (why: string) =>
      new Error(`${path}:${index + 1}: ${why}. Remove the line, and run the command again.`);
    try {
      const parsed = schema.safeParse(JSON.parse(line));
      if (parsed.success) return [parsed.data];
      throw fail(parsed.error.issues[0]?.message ?? "not a row of this file");
    } catch (error) {
      throw error instanceof SyntaxError ? fail("not JSON") : error;
    }
  });
}
