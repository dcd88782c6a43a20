import { aligned } from "../datasets/description-text.ts";
import type { AttributeAgreement, Estimate } from "./agreement.ts";
import type { PairAccuracy } from "./pairwise.ts";

export type EvaluationReport = {
  /** Directory of the model; of cross-validation how many were trained. */
  model: { apm: string; content: string } | { folds: number };
  agreement: AttributeAgreement[];
  pairs: PairAccuracy[];
};

const number = (value: number | null) => (value === null ? "–" : value.toFixed(2));

const estimate = ({ value, interval }: Estimate) =>
  interval === null ? number(value) : `${number(value)} [${number(interval.low)}, ${number(interval.high)}]`;

/** A report as a person reads it. */
export function reportText({ agreement, pairs }: EvaluationReport): string {
  const labels = [
    ["labels", "answers", "trees", "error", "Pearson r", "by length", "gain", "Spearman ρ", "by length"],
    ...agreement.map(({ source, attribute, answers, trees, error, model, length, gain }) => [
      `${source} ${attribute}`,
      String(answers),
      String(trees),
      number(error),
      ...[model.pearson, length.pearson, gain, model.spearman, length.spearman].map(estimate),
    ]),
  ];
  const compared = [
    ["pairs", "by", "decided", "undecided", "accuracy"],
    ...pairs.map(({ file, scale, pairs: decided, undecided, accuracy }) => [
      file,
      scale,
      String(decided),
      String(undecided),
      estimate(accuracy),
    ]),
  ];
  return [
    ...(agreement.length === 0 ? [] : [aligned(labels)]),
    ...(pairs.length === 0 ? [] : [aligned(compared)]),
  ].join("\n\n");
}
