/** Longest line, in characters: far more than a chunk with 20 log-probabilities takes. */
const LONGEST_LINE = 1 << 20;

/**
 * The data of each server-sent event (WHATWG HTML, "Parsing an event stream"). Bytes may be cut anywhere: in a character, in a line
 * break, in a field. An event that the stream leaves unfinished is dropped. Other fields mean nothing in this protocol.
 *
 * @throws Error where a line grows without end
 */
export async function* readEventData(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let data: string[] = [];
  for await (const line of readLines(bytes)) {
    if (line !== "") {
      const value = /^data(?:: ?(.*))?$/s.exec(line);
      if (value !== null) data.push(value[1] ?? "");
      continue;
    }
    if (data.length > 0) yield data.join("\n");
    data = [];
  }
}

/** Whole lines, which end with CR LF, LF or CR. */
async function* readLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of bytes) {
    rest += decoder.decode(piece, { stream: true });
    // A CR at the end may be half of a CR LF.
    const settled = rest.endsWith("\r") ? rest.length - 1 : rest.length;
    const lines = rest.slice(0, settled).split(/\r\n|\n|\r/);
    rest = (lines.pop() ?? "") + rest.slice(settled);
    yield* lines;
    if (rest.length > LONGEST_LINE) throw new Error(`The server sent a line of more than ${LONGEST_LINE} characters`);
  }
  if (rest.endsWith("\r")) yield rest.slice(0, -1);
}
