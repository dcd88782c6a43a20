import { type FrameId, parseFrameId } from "../../../schema/wire/frames.ts";

const LINE_FEED = 10;
const COLON = 58;
const ID_PREFIX = "id: ";

const decoder = new TextDecoder();

/** One server-sent event, with the blank line that ends it, and its id where it has one. */
type Event = { bytes: Uint8Array; id: FrameId | null };

/** Where the event ends that begins at `start`. */
function endOf(events: Uint8Array, start: number): number {
  for (let feed = events.indexOf(LINE_FEED, start); feed !== -1; feed = events.indexOf(LINE_FEED, feed + 1)) {
    if (events[feed + 1] === LINE_FEED) return feed + 2;
  }
  return events.length;
}

function readId(firstLine: Uint8Array): FrameId | null {
  const line = decoder.decode(firstLine);
  return line.startsWith(ID_PREFIX) ? parseFrameId(line.slice(ID_PREFIX.length)) : null;
}

/**
 * Cuts whole server-sent events apart. A comment that stands alone is no event and is left out: it keeps one connection open, and the next
 * has its own.
 *
 * @param events whole events, as an `EventScanner` hands them out
 */
export function* splitEvents(events: Uint8Array): Generator<Event> {
  for (let start = 0; start < events.length; ) {
    const end = endOf(events, start);
    const bytes = events.subarray(start, end);
    const firstLine = bytes.subarray(0, bytes.indexOf(LINE_FEED));
    start = end;
    const isComment = bytes[0] === COLON && firstLine.length + 2 === bytes.length;
    if (!isComment) yield { bytes, id: readId(firstLine) };
  }
}
