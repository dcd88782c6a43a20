/** Cosines and sines of every position's rotation angles, each [contextLength, headDim / 2] row-major (RoFormer; half-split layout). */
export function rotaryTables(config: { contextLength: number; headDim: number; ropeTheta: number }): {
  cos: Float32Array;
  sin: Float32Array;
} {
  const half = config.headDim / 2;
  const cos = new Float32Array(config.contextLength * half);
  const sin = new Float32Array(config.contextLength * half);
  for (let pair = 0; pair < half; pair++) {
    const frequency = config.ropeTheta ** (-pair / half);
    for (let position = 0; position < config.contextLength; position++) {
      const angle = position * frequency;
      cos[position * half + pair] = Math.cos(angle);
      sin[position * half + pair] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
