import { fitL1Logistic, logistic, type Observation, weightedLogLoss } from "./l1-logistic.ts";

/** What a judge thinks of one instruction's two answers. */
export type Comparison = {
  /** Position of the instruction in AlpacaEval's list of 805. */
  index: number;
  /** Probability that the model's answer is the better one, 0–1; ½ where the judge did not say. */
  preference: number;
  /** Lengths in characters. */
  baselineLength: number;
  modelLength: number;
};

/** A row of AlpacaEval's `df_gamed.csv`: the baseline made terse and verbose on purpose, to hold the fit down. */
export type GamedRow = { index: number; preference: number; lengthDifference: number; difficulty: number };

export type WinRate = {
  instructions: number;
  /** Percent: mean preference. */
  win_rate: number;
  standard_error: number;
  /** Percent, each preference rounded to win, loss or draw. */
  discrete_win_rate: number;
};

/** AlpacaEval's win rate (alpaca_eval/metrics/winrate.py). @throws Error without a comparison */
export function winRate(comparisons: readonly Comparison[]): WinRate {
  if (comparisons.length === 0) throw new Error("There is nothing to compare.");
  const preferences = comparisons.map(({ preference }) => preference);
  const average = mean(preferences);
  const outcomes = preferences.map((preference) => (preference > 0.5 ? 1 : preference < 0.5 ? 0 : 0.5));
  return {
    instructions: comparisons.length,
    win_rate: 100 * average,
    standard_error: (100 * deviation(preferences)) / Math.sqrt(preferences.length),
    discrete_win_rate: 100 * mean(outcomes),
  };
}

export type LengthControl = {
  /** Percent: what the win rate would be if the answers were as long as the baseline's. */
  length_controlled_win_rate: number;
  /** Coefficients of length, difficulty and model. */
  coefficients: { length: number; difficulty: number; model: number };
  /** Inverse of the penalty, as cross-validation chose it. */
  strength: number;
};

/** Gamed rows count 0.2 together, and there are two of them for each instruction. */
const GAMED_WEIGHT = 0.1;
const FOLDS = 5;
/** scikit-learn's ten candidates, 10⁻⁴ to 10⁴ in equal steps of their logarithm. */
const STRENGTHS = Array.from({ length: 10 }, (_, index) => 10 ** (-4 + (8 * index) / 9));

/**
 * The length-controlled win rate (Dubois et al. 2024; alpaca_eval/metrics/glm_winrate.py, `length_controlled_v1`): a logistic model of
 * the preference by length, instruction and model, with its length set to none.
 *
 * The difference of lengths is baseline less model, in standard deviations (n − 1), through tanh.
 *
 * @throws Error where an instruction has no difficulty, or all lengths differ by the same
 */
export function controlLength(comparisons: readonly Comparison[], gamed: readonly GamedRow[]): LengthControl {
  const differences = comparisons.map(({ baselineLength, modelLength }) => baselineLength - modelLength);
  const spread = deviation(differences);
  if (!(spread > 0))
    throw new Error("All answers differ from the baseline's by the same length: length has no effect to control.");
  const known = new Map(gamed.toReversed().map(({ index, difficulty }) => [index, difficulty]));
  const difficulties = comparisons.map(({ index }) => {
    const difficulty = known.get(index);
    if (difficulty !== undefined) return difficulty;
    throw new Error(`df_gamed.csv does not say how difficult instruction ${index} is.`);
  });
  const observations: Observation[] = [
    ...gamed.map(({ preference, lengthDifference, difficulty }) => ({
      features: [Math.tanh(lengthDifference), difficulty, 0],
      share: preference,
      weight: GAMED_WEIGHT,
    })),
    ...comparisons.map(({ preference }, at) => ({
      features: [Math.tanh((differences[at] ?? 0) / spread), difficulties[at] ?? 0, 1],
      share: preference,
      weight: 1,
    })),
  ];
  const strength = chooseStrength(observations);
  const [length = 0, difficulty = 0, model = 0] = fitL1Logistic(observations, strength);
  const controlled = difficulties.map((one) => logistic(difficulty * one + model));
  return {
    length_controlled_win_rate: 100 * mean(controlled),
    coefficients: { length, difficulty, model },
    strength,
  };
}

/** The strength of the least loss on held-out fifths, where every fifth row belongs together; the smallest of equals. */
function chooseStrength(observations: readonly Observation[]): number {
  const folds = Array.from({ length: FOLDS }, (_, fold) => {
    const isHeldOut = (index: number) => (observations.length - 1 - index) % FOLDS === fold;
    return {
      train: observations.filter((_, index) => !isHeldOut(index)),
      test: observations.filter((_, index) => isHeldOut(index)),
    };
  });
  const losses = STRENGTHS.map((strength) =>
    mean(folds.map(({ train, test }) => weightedLogLoss(test, fitL1Logistic(train, strength)))),
  );
  return STRENGTHS[losses.indexOf(Math.min(...losses))] ?? 1;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation of a sample. */
function deviation(values: readonly number[]): number {
  const average = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - average) ** 2, 0) / (values.length - 1));
}
