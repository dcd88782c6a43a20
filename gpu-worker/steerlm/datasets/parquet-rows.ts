import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { asyncBufferFromFile, type Compressors, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import type { Row } from "./row.ts";
import type { OnProgress } from "./text-stream.ts";

/** Node brings what the library leaves out; Snappy is its own. */
const compressors: Compressors = {
  GZIP: (bytes) => gunzipSync(bytes),
  BROTLI: (bytes) => brotliDecompressSync(bytes),
  ZSTD: (bytes) => zstdDecompressSync(bytes),
};

/** Rows of a parquet file, a row group at a time. */
export async function* parquetRows(path: string, onProgress: OnProgress): AsyncGenerator<Row> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const total = metadata.row_groups.reduce((sum, group) => sum + Number(group.total_byte_size), 0);
  let rowStart = 0;
  let done = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors });
    for (const [index, value] of rows.entries()) yield { line: rowStart + index + 1, value: withNumbers(value) };
    rowStart = rowEnd;
    done += Number(group.total_byte_size);
    onProgress({ done, total });
  }
}

/** Columns of 64-bit integers arrive as bigints, which no other format has. */
function withNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(withNumbers);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, withNumbers(field)]));
}
