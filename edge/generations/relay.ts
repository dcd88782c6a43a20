import { AttuneError } from "../../schema/wire/errors.ts";
import type { Dialect } from "./dialect.ts";
import type { EventScanner } from "./event-scanner.ts";

/** A client's FIN shows only on a write, so something is written at least this often (research: 3.1). */
export const HEARTBEAT_MS = 250;

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": hb\n\n");
/** What ends a stream that the worker did not end. */
export const BROKEN_OFF = new AttuneError(
  "generation_failed",
  "The inference worker broke off. The answer is incomplete; try again.",
);

/** `source`: the worker stopped writing; `client`: the client stopped reading. */
export type RelayEnding = "source" | "client";

type Read = { kind: "chunk"; bytes: Uint8Array } | { kind: "end"; cause: unknown };

/** The next chunk. A broken connection is an end like any other: what was seen before it tells whether it came too early. */
async function readNext(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Read> {
  try {
    const { done, value } = await reader.read();
    return done ? { kind: "end", cause: "the stream ended" } : { kind: "chunk", bytes: value };
  } catch (cause) {
    return { kind: "end", cause };
  }
}

/** The events that end a stream which stopped short. */
function brokenOff(cause: unknown, scanner: EventScanner, { brokenOff: render, error }: Ending): Uint8Array {
  console.error(JSON.stringify({ event: "upstream_broke_off", reason: String(cause) }));
  return encoder.encode(render(error, (scanner.lastFrame?.sequence ?? -1) + 1));
}

/** How a stream ends that stopped short: with this error in this dialect. */
type Ending = Pick<Dialect, "brokenOff"> & { error: AttuneError };

/**
 * The worker's whole events as they come, and an error in its dialect where the worker stops without having ended the stream. What was seen
 * until then stands in `scanner`.
 */
export async function* readEvents(
  source: ReadableStream<Uint8Array>,
  scanner: EventScanner,
  ending: Ending,
): AsyncGenerator<Uint8Array, void> {
  const reader = source.getReader();
  while (true) {
    const read = await readNext(reader);
    if (read.kind === "end") {
      if (!scanner.ended) yield brokenOff(read.cause, scanner, ending);
      return;
    }
    const events = scanner.push(read.bytes);
    if (events.length > 0) yield events;
  }
}

/**
 * The worker's events as the client's stream: whole events as they come, a comment at once and whenever nothing was written for
 * HEARTBEAT_MS, and an error in its dialect where the worker stops without having ended the stream. `onEnd` runs once; what was seen until
 * then stands in `scanner`.
 */
export function relayEvents(
  source: ReadableStream<Uint8Array>,
  scanner: EventScanner,
  broken: Ending,
  onEnd: (ending: RelayEnding) => void,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  let reading: Promise<Read> | null = null;
  let over = false;

  function end(ending: RelayEnding): void {
    if (over) return;
    over = true;
    onEnd(ending);
  }

  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(HEARTBEAT);
    },
    /** Called whenever the client has taken everything; writes once. */
    async pull(controller) {
      const silence = Promise.withResolvers<null>();
      const timer = setTimeout(() => silence.resolve(null), HEARTBEAT_MS);
      try {
        while (true) {
          reading ??= readNext(reader);
          const read = await Promise.race([reading, silence.promise]);
          if (over) return;
          if (read === null) return controller.enqueue(HEARTBEAT);
          reading = null;
          if (read.kind === "end") {
            if (!scanner.ended) controller.enqueue(brokenOff(read.cause, scanner, broken));
            controller.close();
            return end("source");
          }
          const events = scanner.push(read.bytes);
          if (events.length > 0) return controller.enqueue(events);
        }
      } finally {
        clearTimeout(timer);
      }
    },
    cancel() {
      end("client");
      reader.cancel().catch(() => {});
    },
  });
}
