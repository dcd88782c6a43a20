/** A row of a file as it stands there, or why none could be made out. In parquet files the line is the row's number. */
export type Row = { line: number; value: unknown } | { line: number; reason: string };
