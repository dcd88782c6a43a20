import type { Row } from "./row.ts";

function parsed(text: string, line: number): Row {
  try {
    return { line, value: JSON.parse(text) };
  } catch (error) {
    return { line, reason: `not JSON: ${error instanceof Error ? error.message : error}` };
  }
}

/** Rows of a file with one JSON value to a line. Blank lines are none. A line ends at LF only: U+2028, at which readline breaks, may stand in a string. */
export async function* jsonLines(pieces: AsyncIterable<string>): AsyncGenerator<Row> {
  let line = 1;
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      if (text.trim() !== "") yield parsed(text, line);
      line++;
    }
  }
  if (rest.trim() !== "") yield parsed(rest, line);
}

/**
 * Rows of a file that holds one JSON array, each cut out by its brackets and parsed alone: the file need not fit into memory, a broken
 * row does not take the others along, and its line is known.
 */
export async function* jsonArray(pieces: AsyncIterable<string>): AsyncGenerator<Row> {
  let line = 1;
  let depth = 0;
  let quoted = false;
  let escaped = false;
  let closed = false;
  let element = "";
  let elementLine = 1;
  for await (const piece of pieces) {
    // Where the part of the element that lies in this piece begins.
    let from = 0;
    for (let at = 0; at < piece.length; at++) {
      const character = piece[at];
      if (character === "\n") line++;
      if (quoted) {
        if (escaped) escaped = false;
        else if (character === "\\") escaped = true;
        else if (character === '"') quoted = false;
      } else if (closed) {
        if (character !== undefined && character.trim() !== "") {
          yield { line, reason: "something follows the end of the array" };
          return;
        }
      } else if (character === "[" || character === "{") {
        depth++;
        if (depth === 1) [from, elementLine] = [at + 1, line];
      } else if (character === "]" || character === "}" || (character === "," && depth === 1)) {
        if (character !== ",") depth--;
        if (depth === 0 || character === ",") {
          const text = element + piece.slice(from, at);
          const blank = text.length - text.trimStart().length;
          const start = elementLine + (text.slice(0, blank).split("\n").length - 1);
          if (text.trim() !== "") yield parsed(text, start);
          [element, from, elementLine] = ["", at + 1, line];
          closed = depth === 0;
        }
      } else if (character === '"') quoted = true;
    }
    if (depth > 0) element += piece.slice(from);
  }
  if (!closed) yield { line: elementLine, reason: "the file ends inside its array" };
}
