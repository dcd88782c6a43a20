/** What a person chooses: 8 bits a weight, or float32 as the reference. */
export type Precision = "int8" | "fp32";

/**
 * How matrices are held.
 * - `fp32`: float32, the reference.
 * - `int8-blocks`: one scale for every 32 values, weights and activations alike (MatMulNBits).
 * - `int8-channels`: what reads the normalised residual stream has one scale an output and a fixed one for activations, so that whole
 *   rows are summed as integers; it needs rotated weights (rotated-weights.ts), and a processor that multiplies bytes without saturating.
 *
 * An int8 matrix whose rows are no whole number of blocks stays float32 where it would have blocks.
 */
export type WeightLayout = "fp32" | "int8-blocks" | "int8-channels";

/** How keys and values are held. Processors compute attention in float32; devices that compute in float16 need half the memory for it. */
export type KvType = "float32" | "float16";
