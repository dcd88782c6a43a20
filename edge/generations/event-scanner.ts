import { DONE_LINE, type FrameId, parseFrameId, RESPONSE_ENDINGS } from "../../schema/wire/frames.ts";

const LINE_FEED = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const ID_PREFIX = encoder.encode("id: ");
const DONE = encoder.encode(DONE_LINE);
/** How each dialect says that the answer failed: a chunk, a part, an event. */
const FAILURE_PREFIXES = ['data: {"error"', 'data: {"type":"error"', "event: response.failed"].map((prefix) =>
  encoder.encode(prefix),
);
const ERROR_PREFIX = encoder.encode('data: {"error"');
const EVENT_PREFIX = encoder.encode("event: ");
/** The edge's own error ends a stream that is read from where it was kept. */
const ENDING_EVENTS = [...RESPONSE_ENDINGS, "error"].map((event) => encoder.encode(`event: ${event}`));

function startsWith(line: Uint8Array, prefix: Uint8Array): boolean {
  return line.length >= prefix.length && prefix.every((byte, index) => line[index] === byte);
}

const equals = (line: Uint8Array, whole: Uint8Array) => line.length === whole.length && startsWith(line, whole);

/** Only whole events are read, so the line before an event's data says as much as its end. */
const endsStream = (line: Uint8Array) =>
  equals(line, DONE) ||
  startsWith(line, ERROR_PREFIX) ||
  (startsWith(line, EVENT_PREFIX) && ENDING_EVENTS.some((event) => equals(line, event)));

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

/** Length of the part that ends with an event's blank line. */
function completeLength(bytes: Uint8Array): number {
  for (let end = bytes.lastIndexOf(LINE_FEED); end > 0; end = bytes.lastIndexOf(LINE_FEED, end - 1)) {
    if (bytes[end - 1] === LINE_FEED) return end + 1;
  }
  return 0;
}

/**
 * Cuts the worker's bytes into whole events and reads how far the generation got off the starts of their lines. Frames are never
 * parsed: a token costs the edge a few comparisons. An incomplete event is held back, so whatever the edge writes itself, heartbeat
 * or error, stands between events.
 */
export class EventScanner {
  #pending: Uint8Array = new Uint8Array(0);
  /** The id of the last whole event that had one. */
  lastFrame: FrameId | null = null;
  /** When the first of these came, in Unix milliseconds. */
  firstFrameAt: number | null = null;
  /** Whether the worker ended the stream, with what ends one in its dialect or with its own error. */
  ended = false;
  /** Whether the worker said that the answer failed. */
  failed = false;

  /** Takes the next bytes; returns the whole events in them, perhaps none. */
  push(chunk: Uint8Array): Uint8Array {
    const bytes = this.#pending.length === 0 ? chunk : concat(this.#pending, chunk);
    const length = completeLength(bytes);
    this.#pending = bytes.subarray(length);
    const events = bytes.subarray(0, length);
    this.#readLines(events);
    return events;
  }

  #readLines(events: Uint8Array): void {
    for (let start = 0; start < events.length; ) {
      const end = events.indexOf(LINE_FEED, start);
      this.#readLine(events.subarray(start, end));
      start = end + 1;
    }
  }

  #readLine(line: Uint8Array): void {
    if (startsWith(line, ID_PREFIX)) {
      this.lastFrame = parseFrameId(decoder.decode(line.subarray(ID_PREFIX.length))) ?? this.lastFrame;
      this.firstFrameAt ??= Date.now();
      return;
    }
    if (endsStream(line)) this.ended = true;
    if (FAILURE_PREFIXES.some((prefix) => startsWith(line, prefix))) this.failed = true;
  }
}
