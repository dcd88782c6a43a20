/** A share of wins, 0–1, at some features; `weight` is how much it counts. */
export type Observation = { features: readonly number[]; share: number; weight: number };

/** Share of the objective below which a sweep over all coefficients has improved nothing that matters. */
const TOLERANCE = 1e-12;
const MOST_SWEEPS = 10_000;
/** Halvings of a step that does not go down. */
const HALVINGS = 40;

/** 1 / (1 + e⁻ᶻ). */
export const logistic = (z: number): number => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));

/** log(1 + eᶻ), also of large z. */
const softplus = (z: number): number => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/**
 * Logistic regression with an L1 penalty and no intercept: minimises Σ|wⱼ| + C · Σ weight · cross-entropy(share, logistic(w·x)), as
 * liblinear does (Fan et al. 2008, equation 3), one coefficient after the other by Newton's step with soft threshold.
 *
 * @param strength C: the larger, the less is penalised
 * @returns a coefficient for each feature
 */
export function fitL1Logistic(observations: readonly Observation[], strength: number): number[] {
  const size = observations[0]?.features.length ?? 0;
  const coefficients = new Array<number>(size).fill(0);
  const scores = new Float64Array(observations.length);
  let before = objective(observations, scores, coefficients, strength);
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    for (let feature = 0; feature < size; feature++) improve(observations, scores, coefficients, feature, strength);
    const after = objective(observations, scores, coefficients, strength);
    if (before - after <= TOLERANCE * Math.max(1, Math.abs(after))) break;
    before = after;
  }
  return coefficients;
}

function objective(
  observations: readonly Observation[],
  scores: Float64Array,
  coefficients: readonly number[],
  strength: number,
): number {
  const penalty = coefficients.reduce((sum, coefficient) => sum + Math.abs(coefficient), 0);
  const loss = observations.reduce(
    (sum, { share, weight }, index) => sum + weight * (softplus(scores[index] ?? 0) - share * (scores[index] ?? 0)),
    0,
  );
  return penalty + strength * loss;
}

/** One coefficient's step downhill; `scores` are kept at w·x. */
function improve(
  observations: readonly Observation[],
  scores: Float64Array,
  coefficients: number[],
  feature: number,
  strength: number,
): void {
  let slope = 0;
  let curvature = 0;
  for (const [index, { features, share, weight }] of observations.entries()) {
    const x = features[feature] ?? 0;
    const probability = logistic(scores[index] ?? 0);
    slope += strength * weight * x * (probability - share);
    curvature += strength * weight * x * x * probability * (1 - probability);
  }
  if (curvature === 0) return;
  const current = coefficients[feature] ?? 0;
  const free = current - slope / curvature;
  const target = Math.sign(free) * Math.max(0, Math.abs(free) - 1 / curvature);
  let step = target - current;
  const rise = (by: number): number => {
    let sum = Math.abs(current + by) - Math.abs(current);
    for (const [index, { features, share, weight }] of observations.entries()) {
      const score = scores[index] ?? 0;
      const moved = by * (features[feature] ?? 0);
      sum += strength * weight * (softplus(score + moved) - softplus(score) - share * moved);
    }
    return sum;
  };
  for (let halving = 0; step !== 0 && rise(step) > 0; halving++) step = halving === HALVINGS ? 0 : step / 2;
  if (step === 0) return;
  coefficients[feature] = current + step;
  for (const [index, { features }] of observations.entries()) {
    scores[index] = (scores[index] ?? 0) + step * (features[feature] ?? 0);
  }
}

/** Mean cross-entropy of the shares under the fitted model, each times its weight. */
export function weightedLogLoss(observations: readonly Observation[], coefficients: readonly number[]): number {
  const loss = observations.reduce((sum, { features, share, weight }) => {
    const score = features.reduce((product, x, index) => product + x * (coefficients[index] ?? 0), 0);
    return sum + weight * (softplus(score) - share * score);
  }, 0);
  return loss / observations.length;
}
