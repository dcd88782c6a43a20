/** Steps are counted from 0. */
export type Schedule = {
  /** The highest learning rate, reached after `warmUp` steps. */
  peak: number;
  /** The lowest, reached at the end. */
  final: number;
  warmUp: number;
  steps: number;
};

/** Rises in a straight line, then falls along half a cosine. */
export function learningRate({ peak, final, warmUp, steps }: Schedule, step: number): number {
  if (step < warmUp) return (peak * (step + 1)) / (warmUp + 1);
  const progress = Math.min(1, (step - warmUp) / Math.max(1, steps - 1 - warmUp));
  return final + ((peak - final) * (1 + Math.cos(Math.PI * progress))) / 2;
}
