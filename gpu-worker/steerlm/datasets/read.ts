import { FORMATS, formatOf } from "./formats.ts";
import { leftOut, type Outcome } from "./outcome.ts";
import { BadRow, type Format, type ReadOptions } from "./reader.ts";
import type { Row } from "./row.ts";
import { readRows } from "./rows.ts";
import type { OnProgress } from "./text-stream.ts";

/** Rows that are looked at for one whose format is known. */
const LOOK_AHEAD = 100;

type Reading = { format?: Format | undefined; onProgress?: OnProgress; signal?: AbortSignal };

/**
 * What a data set's file holds, and what became of the rest of its rows. `format` is found by content where none is given.
 *
 * @throws Error where the file cannot be read or its format is not known
 */
export async function* readDataset(
  path: string,
  options: ReadOptions,
  { format, onProgress = () => {}, signal }: Reading = {},
): AsyncGenerator<Outcome> {
  const rows = readRows(path, onProgress);
  const ahead: Row[] = [];
  let found = format;
  while (found === undefined) {
    const next = await rows.next();
    if (next.done === true) break;
    ahead.push(next.value);
    if ("value" in next.value) found = formatOf(next.value.value);
    if (found === undefined && ahead.length === LOOK_AHEAD) throw unknownFormat(path, ahead);
  }
  if (found === undefined) {
    if (ahead.length === 0) return;
    throw unknownFormat(path, ahead);
  }
  const reader = found.reader(options);
  for (const row of ahead) yield* outcomesOf(row, reader.row);
  for await (const row of rows) {
    signal?.throwIfAborted();
    yield* outcomesOf(row, reader.row);
  }
  yield* reader.end().map(withoutBlanks);
}

function outcomesOf(row: Row, read: (value: unknown) => Outcome[]): Outcome[] {
  if ("reason" in row) return [{ kind: "bad row", ...row }];
  try {
    return read(row.value).map(withoutBlanks);
  } catch (error) {
    if (!(error instanceof BadRow)) throw error;
    return [{ kind: "bad row", line: row.line, reason: error.message }];
  }
}

/** Nothing is learnt from a conversation in which somebody says nothing. */
function withoutBlanks(outcome: Outcome): Outcome {
  if (outcome.kind !== "conversation") return outcome;
  return outcome.conversation.turns.some(({ text }) => text.trim() === "") ? leftOut("empty turn") : outcome;
}

function unknownFormat(path: string, rows: readonly Row[]): Error {
  const known = FORMATS.map(({ name, holds }) => `  ${name.padEnd(22)} ${holds}`).join("\n");
  return new Error(`${path}: the format is not known; ${seenIn(rows)}. Name it with --format:\n${known}`);
}

function seenIn([first]: readonly Row[]): string {
  if (first === undefined) return "it has no rows";
  if ("reason" in first) return `line ${first.line} is ${first.reason}`;
  const { value } = first;
  if (typeof value !== "object" || value === null) return `line ${first.line} is no object`;
  return `line ${first.line} has ${Object.keys(value).join(", ") || "no fields"}`;
}
