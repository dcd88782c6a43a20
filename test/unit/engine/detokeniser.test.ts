import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Detokeniser } from "../../../gpu-worker/engine/detokeniser.ts";

/** 256 tokens of one byte each, so that every character is cut at every place it can be. */
const BYTES = {
  bytes: Uint8Array.from({ length: 256 }, (_, byte) => byte),
  offsets: Uint32Array.from({ length: 257 }, (_, id) => id),
};

describe("Detokeniser", () => {
  it("lets a character out whole, with its last byte", () => {
    const detokeniser = new Detokeniser(BYTES);
    const pieces = [...new TextEncoder().encode("aé한👩‍👧")].map((byte) => detokeniser.push(byte));
    expect(pieces.join("")).toBe("aé한👩‍👧");
    for (const piece of pieces) expect(piece).not.toContain("\uFFFD");
    expect(pieces[1]).toBe("");
  });

  it("keeps a byte order mark", () => {
    const detokeniser = new Detokeniser(BYTES);
    expect([0xef, 0xbb, 0xbf, 0x41].map((byte) => detokeniser.push(byte)).join("")).toBe("\uFEFFA");
  });

  it("replaces bytes that are no UTF-8 and goes on", () => {
    const detokeniser = new Detokeniser(BYTES);
    expect([0xff, 0x41].map((byte) => detokeniser.push(byte)).join("")).toBe("\uFFFDA");
  });

  it("gives back any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const detokeniser = new Detokeniser(BYTES);
        expect([...new TextEncoder().encode(text)].map((byte) => detokeniser.push(byte)).join("")).toBe(text);
      }),
    );
  });
});
