/** Gradients of the batches that make up one step, added up. */
export class GradientSum {
  readonly values: Float32Array;

  constructor(size: number) {
    this.values = new Float32Array(size);
  }

  add(gradients: Float32Array): void {
    const values = this.values;
    for (let index = 0; index < values.length; index++) values[index] = (values[index] ?? 0) + (gradients[index] ?? 0);
  }

  /**
   * Scales the sum so that its Euclidean norm is at most `maxNorm`.
   *
   * @returns the norm before.
   */
  clip(maxNorm: number): number {
    const values = this.values;
    let squares = 0;
    for (let index = 0; index < values.length; index++) squares += (values[index] ?? 0) ** 2;
    const norm = Math.sqrt(squares);
    if (norm > maxNorm) {
      const scale = maxNorm / norm;
      for (let index = 0; index < values.length; index++) values[index] = (values[index] ?? 0) * scale;
    }
    return norm;
  }

  clear(): void {
    this.values.fill(0);
  }
}
