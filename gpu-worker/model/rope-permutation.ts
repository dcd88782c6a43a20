/**
 * Puts the rows of a llama query or key projection, or its bias (one column), back into Hugging Face order.
 *
 * llama.cpp rotates neighbouring pairs of a head's dimensions (0,1), (2,3), …, so its converter reorders each head's rows with
 * `reshape(heads, 2, headDim / 2, cols).swapaxes(1, 2)`. Hugging Face, and ONNX's RotaryEmbedding with `interleaved = 0`, rotate
 * dimension j with j + headDim / 2. This is the inverse: row j of half h is stored as row 2 · j + h.
 *
 * @param weight [heads · headDim, cols], row-major, in GGUF order; left as it is
 * @returns a new array of the same shape in half-split order
 * @throws Error where the length does not fit or `headDim` is odd
 */
export function unpermuteRope(weight: Float32Array, heads: number, headDim: number, cols: number): Float32Array {
  return reordered(weight, heads, headDim, cols, "to half-split");
}

/** The same rows in GGUF order: what `unpermuteRope` undoes. */
export function permuteRope(weight: Float32Array, heads: number, headDim: number, cols: number): Float32Array {
  return reordered(weight, heads, headDim, cols, "to GGUF");
}

function reordered(
  weight: Float32Array,
  heads: number,
  headDim: number,
  cols: number,
  direction: "to half-split" | "to GGUF",
): Float32Array {
  if (headDim % 2 !== 0 || weight.length !== heads * headDim * cols) {
    throw new Error(
      `A weight of ${weight.length} values is not [${heads} × ${headDim}, ${cols}] with an even head size.`,
    );
  }
  const half = headDim / 2;
  const result = new Float32Array(weight.length);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headDim; row++) {
      const stored = 2 * (row % half) + Math.floor(row / half);
      const [from, to] = direction === "to GGUF" ? [row, stored] : [stored, row];
      const start = (head * headDim + from) * cols;
      result.set(weight.subarray(start, start + cols), (head * headDim + to) * cols);
    }
  }
  return result;
}
