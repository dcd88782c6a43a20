import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventParser, readEvents, type ServerSentEvent } from "../../../client/events.ts";

/** Events as a server may write them: any text, any kind of line end, comments between. */
const written = fc.array(
  fc.record({
    data: fc.string({ unit: "binary", maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, "")),
    id: fc.option(fc.stringMatching(/^[a-z0-9:]{0,8}$/)),
    event: fc.option(fc.stringMatching(/^[a-z.]{1,8}$/)),
    comment: fc.boolean(),
    end: fc.constantFrom("\n", "\r\n", "\r"),
  }),
  { maxLength: 6 },
);
type Written = typeof written extends fc.Arbitrary<infer T> ? T : never;

function render(events: Written): string {
  return events
    .map(({ data, id, event, comment, end }) => {
      const lines = [
        ...(comment ? [": hb", ""] : []),
        ...(id === null ? [] : [`id: ${id}`]),
        ...(event === null ? [] : [`event: ${event}`]),
        `data: ${data}`,
        "",
      ];
      return lines.map((line) => line + end).join("");
    })
    .join("");
}

function expected(events: Written): ServerSentEvent[] {
  let last = "";
  return events.map(({ data, id, event }) => {
    last = id ?? last;
    return { id: last, event: event ?? "message", data };
  });
}

async function parseBytes(chunks: Uint8Array[]): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = [];
  for await (const event of readEvents(ReadableStream.from(chunks))) events.push(event);
  return events;
}

/** Cuts bytes at these places, characters in two included. */
function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

describe("events of a stream", () => {
  it("are the same wherever the network cuts their bytes", async () => {
    await fc.assert(
      fc.asyncProperty(written, fc.array(fc.nat(), { maxLength: 12 }), async (events, places) => {
        const bytes = new TextEncoder().encode(render(events));
        // What is no text in UTF-8 is replaced on the way.
        const sent = expected(events).map((event) => ({ ...event, data: event.data.toWellFormed() }));
        expect(await parseBytes(cut(bytes, places))).toEqual(sent);
      }),
    );
  });

  it("may have several lines of data, and fields without a space", () => {
    expect(new EventParser().push("data:one\ndata: two\nretry: 5\nid\n\n")).toEqual([
      { id: "", event: "message", data: "one\ntwo" },
    ]);
  });

  it("that are not whole are none", () => {
    expect(new EventParser().push("data: one\n")).toEqual([]);
    expect(new EventParser().push("id: 1\n\n")).toEqual([]);
  });

  it("stop the server where nobody reads on", async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
      cancel: () => {
        cancelled = true;
      },
    });
    for await (const _ of readEvents(body)) break;
    expect(cancelled).toBe(true);
  });
});
