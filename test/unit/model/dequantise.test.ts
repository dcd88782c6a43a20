import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { dequantise, SUPPORTED_FORMATS } from "../../../gpu-worker/model/dequantise.ts";

const casesSchema = z.array(
  z.object({ format: z.string(), type: z.int(), stored: z.base64(), expected: z.array(z.number()) }),
);
const path = new URL("../../fixtures/dequantise.json", import.meta.url);
const cases = casesSchema.parse(JSON.parse(readFileSync(path, "utf8")));

describe("dequantise", () => {
  test("is checked against gguf-py in every supported format", () => {
    expect(cases.map(({ format }) => format).sort()).toEqual(SUPPORTED_FORMATS.toSorted());
  });

  test.each(cases)("gives gguf-py's values for $format", ({ type, stored, expected }) => {
    const values = dequantise(type, Buffer.from(stored, "base64"), expected.length);
    // gguf-py rounds to float32 after the product and after the sum, we once.
    for (const [index, value] of values.entries()) {
      const reference = expected[index] ?? Number.NaN;
      expect(Math.abs(value - reference)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(reference)));
    }
  });

  test("refuses bytes that are too few, values that fill no block, and unknown types", () => {
    expect(() => dequantise(8, new Uint8Array(33), 32)).toThrow("32 Q8_0 values take 34 bytes, got 33");
    expect(() => dequantise(8, new Uint8Array(34), 31)).toThrow("no whole number of Q8_0 blocks");
    expect(() => dequantise(99, new Uint8Array(34), 32)).toThrow("ggml type 99 is not supported");
  });
});
