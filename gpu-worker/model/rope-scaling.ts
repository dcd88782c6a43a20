/** Llama 3.1's scaling, under transformers' names. `originalContext` is the context the model was first trained with, in tokens. */
export type Llama3Scaling = {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalContext: number;
};

/**
 * What Llama 3.1 and later divide each rotary frequency by: nothing where a wave is short against the original context, `factor`
 * where it is long, and a blend between.
 *
 * https://github.com/meta-llama/llama-models/blob/main/models/llama3/model.py, `apply_scaling`; llama.cpp stores these very numbers
 * as `rope_freqs.weight`.
 *
 * @returns [headDim / 2]
 */
export function llama3Divisors(scaling: Llama3Scaling, headDim: number, ropeTheta: number): number[] {
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  const half = headDim / 2;
  return Array.from({ length: half }, (_, pair) => {
    const wavelength = 2 * Math.PI * ropeTheta ** (pair / half);
    if (wavelength < originalContext / highFreqFactor) return 1;
    if (wavelength > originalContext / lowFreqFactor) return factor;
    const smooth = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** Position interpolation (https://arxiv.org/abs/2306.15595): every frequency divided by the same factor. */
export function linearDivisors(factor: number, headDim: number): number[] | null {
  return factor === 1 ? null : Array.from({ length: headDim / 2 }, () => factor);
}
