import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readEventData } from "../../../gpu-worker/engine/remote/event-stream.ts";

async function* pieces(bytes: Buffer, cuts: number[]): AsyncGenerator<Uint8Array> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (const [index, place] of places.entries()) if (index > 0) yield bytes.subarray(places[index - 1], place);
}

async function read(stream: string, cuts: number[] = []): Promise<string[]> {
  const events: string[] = [];
  for await (const data of readEventData(pieces(Buffer.from(stream), cuts))) events.push(data);
  return events;
}

describe("server-sent events", () => {
  it("are the same however the network cuts them, whatever their line breaks", async () => {
    const line = fc.string({ unit: "grapheme" }).map((text) => text.replace(/[\r\n]/g, ""));
    await fc.assert(
      fc.asyncProperty(
        fc.array(line),
        fc.constantFrom("\n", "\r\n", "\r"),
        fc.array(fc.nat(1000), { maxLength: 20 }),
        async (lines, end, cuts) => {
          const stream = lines.map((text) => `: ping${end}id: 1${end}data: ${text}${end}${end}`).join("");
          expect(await read(stream, cuts)).toEqual(lines);
        },
      ),
    );
  });

  it("may have several lines, no space, or no value, and do not count when they are unfinished", async () => {
    expect(await read("data: a\ndata:b\ndata\n\nevent: only\n\ndata: c\n")).toEqual(["a\nb\n"]);
  });

  it("end with an error where a line has no end", async () => {
    await expect(read(`data: ${"x".repeat(2 ** 20)}`)).rejects.toThrow("a line of more than");
  });
});
