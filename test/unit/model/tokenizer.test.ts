import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTokenizer } from "../../../gpu-worker/model/tokenizer.ts";
import { tinyMetadata, tinyTokenizer } from "../../fixtures/tiny-tokenizer.ts";

const tokenizer = tinyTokenizer();
const [endOfText = -1, start = -1, end = -1] = tokenizer.markerIds.values();

/** Text as people and attackers send it: any UTF-16 code units, with markers strewn in. */
const hostileText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(...tokenizer.markerIds.keys(), "<|", "|>", "im_end", "\ud83d"),
    ),
  )
  .map((parts) => parts.join(""));

describe("encodeText", () => {
  test("merges as byte-level BPE does", () => {
    const ids = tokenizer.encodeText("user: the tin");
    expect(ids.map((id) => tokenizer.decode([id]))).toEqual(["user", ":", " the", " t", "in"]);
  });

  test("never gives a marker, whatever the text", () => {
    const markers = new Set(tokenizer.markerIds.values());
    fc.assert(
      fc.property(hostileText, (text) => {
        expect(tokenizer.encodeText(text).some((id) => markers.has(id))).toBe(false);
      }),
    );
  });

  test("decodes to the same text, lone surrogates replaced", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        expect(tokenizer.decode(tokenizer.encodeText(text))).toBe(text.toWellFormed());
      }),
    );
  });

  test("takes nothing from an empty text", () => {
    expect(tokenizer.encodeText("")).toEqual([]);
  });
});

describe("tokens as bytes", () => {
  test("a generated token contributes its bytes, a control token none", () => {
    expect(tokenizer.tokenBytes(3 + 0xf0)).toEqual(Uint8Array.of(0xf0));
    expect(tokenizer.tokenBytes(end)).toEqual(new Uint8Array(0));
    expect(tokenizer.tokenBytes(tokenizer.vocabSize)).toEqual(new Uint8Array(0));
  });

  test("the table holds the same bytes and can be sent to a thread", () => {
    const { bytes, offsets } = structuredClone(tokenizer.tokenByteTable());
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      expect(bytes.slice(offsets[id], offsets[id + 1])).toEqual(tokenizer.tokenBytes(id).slice());
    }
  });

  test("a character split over tokens is decoded whole", () => {
    expect(tokenizer.decode([...Buffer.from("日本")].map((byte) => 3 + byte))).toBe("日本");
  });
});

describe("what the file says", () => {
  test("an answer ends at the end token and at known end markers", () => {
    expect(tokenizer.eosIds).toEqual(new Set([end, endOfText]));
  });

  test("a begin token is required where the file asks for it", () => {
    expect(tokenizer.requiredBos).toBeNull();
    expect(createTokenizer(tinyMetadata({ "tokenizer.ggml.add_bos_token": true })).requiredBos).toBe(start);
  });

  test.each([
    ["tokenizer.ggml.model", "bert", "The tokenizer bert is not supported"],
    ["tokenizer.ggml.pre", "tekken", "supported are smollm, gpt-2, llama-bpe, qwen2"],
    ["tokenizer.ggml.token_type", [1], "differ in length"],
    ["tokenizer.ggml.merges", undefined, "lacks the metadata key tokenizer.ggml.merges"],
  ])("refuses %s = %s", (key, value, message) => {
    expect(() => createTokenizer(tinyMetadata({ [key]: value }))).toThrow(message);
  });
});
