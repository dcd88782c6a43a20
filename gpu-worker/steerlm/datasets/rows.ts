import { csvRows } from "./csv-rows.ts";
import { jsonArray, jsonLines } from "./json-rows.ts";
import { parquetRows } from "./parquet-rows.ts";
import type { Row } from "./row.ts";
import { leadingBytes, type OnProgress, textStream } from "./text-stream.ts";

const PARQUET = Buffer.from("PAR1");

/**
 * The rows of a file of JSON lines, a JSON array, CSV or parquet, the first three plain or gzip; which it is, its content says.
 *
 * @throws Error that names the file where it cannot be read
 */
export async function* readRows(path: string, onProgress: OnProgress): AsyncGenerator<Row> {
  if ((await leadingBytes(path)).equals(PARQUET)) {
    try {
      yield* parquetRows(path, onProgress);
    } catch (error) {
      throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
    return;
  }
  const text = textStream(path, onProgress);
  let first = "";
  for (let piece = await text.next(); !piece.done; piece = await text.next()) {
    first += piece.value;
    if (first.trim() !== "") break;
  }
  const pieces = resumed(first, text);
  const start = first.trimStart()[0];
  if (start === "[") yield* jsonArray(pieces);
  else if (start === "{") yield* jsonLines(pieces);
  else if (start !== undefined) yield* csvRows(path, pieces);
}

async function* resumed(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield first;
  yield* rest;
}
