import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitEvents } from "../../../../edge/generations/kept/split-events.ts";
import { formatFrame } from "../../../../schema/wire/frames.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const frames = fc.array(
  fc.record({
    data: fc.jsonValue(),
    tokens: fc.nat(),
    named: fc.boolean(),
    event: fc.option(fc.constantFrom("response.created", "error"), { nil: undefined }),
  }),
);

describe("events that are kept", () => {
  it("are those that came, in their order, each with its number", () => {
    fc.assert(
      fc.property(frames, (given) => {
        const ids = given.map(({ tokens, named }, sequence) =>
          named ? { generation: "gen_00000000", sequence, completionTokens: tokens } : undefined,
        );
        const texts = given.map(({ data, event }, index) => formatFrame(data, ids[index], event));
        const split = [...splitEvents(encode(texts.join("")))];
        expect(split.map(({ bytes }) => decode(bytes))).toEqual(texts);
        expect(split.map(({ id }) => id ?? undefined)).toEqual(ids);
      }),
    );
  });

  it("leave out comments that stand alone, and keep those within an event", () => {
    const text = ": admitted\n\ndata: 1\n\n: hb\n\n: about it\ndata: 2\n\n: hb\n\n";
    expect([...splitEvents(encode(text))].map(({ bytes }) => decode(bytes))).toEqual([
      "data: 1\n\n",
      ": about it\ndata: 2\n\n",
    ]);
  });

  it("may end without a blank line", () => {
    expect([...splitEvents(encode("data: 1\n\ndata: 2"))].map(({ bytes }) => decode(bytes))).toEqual([
      "data: 1\n\n",
      "data: 2",
    ]);
  });
});
