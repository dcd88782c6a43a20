import type { DecoderConfig } from "./decoder.ts";

type RotaryConfig = Pick<DecoderConfig, "contextLength" | "headDim" | "ropeTheta" | "ropeDivisors">;

/** Radians a position that each pair of dimensions turns by, [headDim / 2] (RoFormer, section 3.2.2). */
export function rotaryFrequencies({ headDim, ropeTheta, ropeDivisors }: Omit<RotaryConfig, "contextLength">): number[] {
  const half = headDim / 2;
  return Array.from({ length: half }, (_, pair) => ropeTheta ** (-pair / half) / (ropeDivisors?.[pair] ?? 1));
}

/** Cosines or sines of every position's rotation angles, [contextLength, headDim / 2] row-major, for the half-split layout. */
export function rotaryTable(config: RotaryConfig, wave: (angle: number) => number): Float32Array {
  const frequencies = rotaryFrequencies(config);
  const table = new Float32Array(config.contextLength * frequencies.length);
  for (let position = 0; position < config.contextLength; position++) {
    for (const [pair, frequency] of frequencies.entries()) {
      table[position * frequencies.length + pair] = wave(position * frequency);
    }
  }
  return table;
}
