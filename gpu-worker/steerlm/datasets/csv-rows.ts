import { Readable } from "node:stream";
import { CsvError, parse } from "csv-parse";
import type { Row } from "./row.ts";

type Info = { lines: number; error?: CsvError };

/**
 * Rows of a CSV file whose first row names the columns.
 *
 * @throws Error that names the file and the line where its quotes go wrong: nobody knows where the next row would begin
 */
export async function* csvRows(path: string, pieces: AsyncIterable<string>): AsyncGenerator<Row> {
  const parser = parse({ columns: true, info: true, relax_column_count: true });
  const source = Readable.from(pieces);
  source.once("error", (error) => parser.destroy(error));
  // Of a row the parser tells the line it ends at.
  let line = 2;
  try {
    for await (const row of source.pipe(parser)) {
      const { info, record: value }: { info: Info; record: unknown } = row;
      yield info.error === undefined ? { line, value } : { line, reason: info.error.message };
      line = info.lines + 1;
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new Error(`${path} cannot be read: ${error.message}`, { cause: error });
  }
}
