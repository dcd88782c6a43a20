import { ATTRIBUTES, type Attribute } from "../../../schema/attributes.ts";
import type { Random } from "../../engine/random.ts";
import type { Predictions } from "../../runtime/attribute-scorer.ts";
import { bootstrapInterval, type Interval } from "../statistics/bootstrap.ts";
import { pearson, spearman } from "../statistics/correlation.ts";
import type { LabelledAnswer } from "./judged-answers.ts";

/** A labelled answer, what was predicted for it, and what its length alone suggests. */
export type ScoredAnswer = Pick<LabelledAnswer, "source" | "tree" | "labels"> & {
  predicted: Predictions;
  byLength: Predictions;
};

/** `value`: null where it is not defined; `interval`: 95 %, by tree. */
export type Estimate = { value: number | null; interval: Interval | null };

type Correlations = { pearson: Estimate; spearman: Estimate };

/** How predictions of one attribute go with labels, for the answers of one source. */
export type AttributeAgreement = {
  source: string;
  attribute: Attribute;
  answers: number;
  trees: number;
  /** Mean squared error. */
  error: number;
  model: Correlations;
  /** The same of what an answer's length alone suggests. */
  length: Correlations;
  /** By how much the model's Pearson's r is above length's. */
  gain: Estimate;
};

type Point = { label: number; predicted: number; byLength: number };

/**
 * Source by source, for a correlation over several would mostly tell the sources apart.
 *
 * @param random of the bootstrap, made anew for each statistic by its name
 */
export function agreements(answers: readonly ScoredAnswer[], random: (name: string) => Random): AttributeAgreement[] {
  const bySource = Map.groupBy(answers, ({ source }) => source);
  return [...bySource].flatMap(([source, own]) =>
    ATTRIBUTES.flatMap((attribute) => {
      const trees = [...Map.groupBy(own, ({ tree }) => tree).values()]
        .map((answersOf) => answersOf.flatMap((answer) => pointOf(answer, attribute)))
        .filter((points) => points.length > 0);
      return trees.length === 0 ? [] : [agreementOf({ source, attribute }, trees, random)];
    }),
  );
}

function pointOf({ labels, predicted, byLength }: ScoredAnswer, attribute: Attribute): Point[] {
  const [label, prediction] = [labels[attribute], predicted[attribute]];
  if (label === undefined || prediction === undefined) return [];
  return [{ label, predicted: prediction, byLength: byLength[attribute] ?? 0 }];
}

function agreementOf(
  about: Pick<AttributeAgreement, "source" | "attribute">,
  trees: readonly Point[][],
  random: (name: string) => Random,
): AttributeAgreement {
  const points = trees.flat();
  const labels = (sample: readonly Point[]) => sample.map(({ label }) => label);
  const side = (name: "predicted" | "byLength", correlation: typeof pearson) => (sample: readonly Point[]) =>
    correlation(
      sample.map((point) => point[name]),
      labels(sample),
    );
  const estimate = (statistic: (sample: readonly Point[]) => number | null): Estimate => ({
    value: statistic(points),
    // The same draws for all statistics: what differs is not the sample.
    interval: bootstrapInterval(trees, statistic, { random: random(`${about.source} ${about.attribute}`) }),
  });
  const correlations = (name: "predicted" | "byLength"): Correlations => ({
    pearson: estimate(side(name, pearson)),
    spearman: estimate(side(name, spearman)),
  });
  const gain = (sample: readonly Point[]) => {
    const [model, length] = [side("predicted", pearson)(sample), side("byLength", pearson)(sample)];
    return model === null || length === null ? null : model - length;
  };
  return {
    ...about,
    answers: points.length,
    trees: trees.length,
    error: points.reduce((sum, { label, predicted }) => sum + (label - predicted) ** 2, 0) / points.length,
    model: correlations("predicted"),
    length: correlations("byLength"),
    gain: estimate(gain),
  };
}
