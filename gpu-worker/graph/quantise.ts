/**
 * Values that share one scale, GGUF's own block. 64 decodes a tenth faster but costs SmolLM2-135M 1.2 % of perplexity, where 32 costs 0.7 %
 * (test/fixtures/perplexity.txt, against float32).
 */
export const BLOCK_SIZE = 32;

/** uint8 code of weight 0, MatMulNBits' default zero point for 8 bits. */
const ZERO_POINT = 128;

export type Int8Blocks = {
  /** One code a value, row-major. */
  codes: Uint8Array;
  /** One scale a block, row-major. */
  scales: Float32Array;
};

/**
 * Symmetric 8-bit quantisation in blocks along the last axis: w ≈ scale · (code − 128), scale = max|w| / 127.
 * Exact for weights that came from GGUF Q8_0, whose blocks are the same.
 *
 * @param weight values, row-major, the last axis a multiple of 32.
 */
export function quantiseInt8(weight: Float32Array): Int8Blocks {
  const blocks = weight.length / BLOCK_SIZE;
  const codes = new Uint8Array(weight.length);
  const scales = new Float32Array(blocks);
  for (let block = 0; block < blocks; block++) {
    const start = block * BLOCK_SIZE;
    let largest = 0;
    for (let i = start; i < start + BLOCK_SIZE; i++) largest = Math.max(largest, Math.abs(weight[i] ?? 0));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : 1 / scale;
    scales[block] = scale;
    for (let i = start; i < start + BLOCK_SIZE; i++) {
      codes[i] = Math.max(1, Math.min(255, Math.round((weight[i] ?? 0) * inverse) + ZERO_POINT));
    }
  }
  return { codes, scales };
}
