import fc from "fast-check";
import { expect, test } from "vitest";
import { unpermuteRope } from "../../../gpu-worker/model/rope-permutation.ts";

/** llama.cpp's converter, literally: `weight.reshape(heads, 2, headDim / 2, cols).swapaxes(1, 2)`. */
function permute(weight: Float32Array, heads: number, headDim: number, cols: number): Float32Array {
  const result = new Float32Array(weight.length);
  let out = 0;
  for (let head = 0; head < heads; head++) {
    for (let pair = 0; pair < headDim / 2; pair++) {
      for (let half = 0; half < 2; half++) {
        const row = head * headDim + half * (headDim / 2) + pair;
        for (let col = 0; col < cols; col++) result[out++] = weight[row * cols + col] ?? Number.NaN;
      }
    }
  }
  return result;
}

test("one head of four rows: stored order 0 2 1 3 becomes 0 1 2 3", () => {
  const stored = Float32Array.of(0, 10, 2, 12, 1, 11, 3, 13);
  expect([...unpermuteRope(stored, 1, 4, 2)]).toEqual([0, 10, 1, 11, 2, 12, 3, 13]);
});

test("undoes llama.cpp's permutation for every shape", () => {
  const size = fc.integer({ min: 1, max: 5 });
  fc.assert(
    fc.property(size, size, size, (heads, halfDim, cols) => {
      const weight = Float32Array.from({ length: heads * 2 * halfDim * cols }, (_, index) => index);
      expect(unpermuteRope(permute(weight, heads, 2 * halfDim, cols), heads, 2 * halfDim, cols)).toEqual(weight);
    }),
  );
});

test("refuses a weight of another shape", () => {
  expect(() => unpermuteRope(new Float32Array(8), 1, 4, 3)).toThrow("is not [1 × 4, 3]");
});
