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
 * In blocks of 32 exact for weights that came from GGUF Q8_0, whose blocks are the same.
 *
 * @param weight values, row-major, the last axis a multiple of `blockSize`.
 */
export function quantiseBlocks(weight: Float32Array, blockSize: number): Int8Blocks {
  const blocks = weight.length / blockSize;
  const codes = new Uint8Array(weight.length);
  const scales = new Float32Array(blocks);
  for (let block = 0; block < blocks; block++) {
    const start = block * blockSize;
    const scale = scaleOf(weight, start, blockSize);
    const inverse = scale === 0 ? 0 : 1 / scale;
    scales[block] = scale;
    for (let i = start; i < start + blockSize; i++) {
      codes[i] = Math.max(1, Math.min(255, Math.round((weight[i] ?? 0) * inverse) + ZERO_POINT));
    }
  }
  return { codes, scales };
}

export type Int8Channels = {
  /** One signed code a value, row-major [outputs, inputs]. */
  codes: Int8Array;
  /** One scale an output. */
  scales: Float32Array;
};

/**
 * Symmetric 8-bit quantisation with one scale a row: w ≈ scale · code, scale = max|w| / 127.
 *
 * @param weight [outputs, inputs] row-major.
 */
export function quantiseChannels(weight: Float32Array, inputs: number): Int8Channels {
  const codes = new Int8Array(weight.length);
  const scales = new Float32Array(weight.length / inputs);
  for (let row = 0; row < scales.length; row++) {
    const start = row * inputs;
    const scale = scaleOf(weight, start, inputs);
    const inverse = scale === 0 ? 0 : 1 / scale;
    scales[row] = scale;
    for (let i = start; i < start + inputs; i++) codes[i] = Math.round((weight[i] ?? 0) * inverse);
  }
  return { codes, scales };
}

/** The step between codes that lets the largest of `count` values from `start` on be code 127. */
function scaleOf(weight: Float32Array, start: number, count: number): number {
  let largest = 0;
  for (let i = start; i < start + count; i++) largest = Math.max(largest, Math.abs(weight[i] ?? 0));
  return Math.fround(largest / 127);
}
