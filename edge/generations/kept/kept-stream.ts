import type { KeptEvents } from "./kept-events.ts";

/**
 * What is kept from a position on, and then what comes, until there is nothing more to come.
 *
 * @param news resolves when there is more, or nothing more to come; `null`: nothing will
 */
export function keptStream(
  events: KeptEvents,
  from: number,
  news: () => Promise<void> | null,
): ReadableStream<Uint8Array> {
  let position = from;
  return new ReadableStream({
    // Of streams, only those of bytes leave a Durable Object.
    type: "bytes",
    async pull(controller) {
      while (true) {
        // Asked before reading, so that what ends the wait is not overlooked.
        const more = news();
        const read = events.readAfter(position);
        position = read.position;
        if (read.bytes.length > 0) return controller.enqueue(read.bytes);
        if (more === null) break;
        await more;
      }
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
}

/** A stream of bytes that are all there. */
export function bytesOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}
