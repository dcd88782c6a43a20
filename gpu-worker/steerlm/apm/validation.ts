import type { Attribute } from "../../../schema/attributes.ts";
import type { AttributeModelDescription } from "../../model/attribute-model.ts";
import { pearson } from "../statistics/correlation.ts";
import { quantile } from "../statistics/quantile.ts";
import type { TrainingRow } from "./training-set.ts";

/** How well labels of held-out answers were predicted. */
export type Validation = {
  answers: number;
  /** Mean squared error, over all labels. */
  error: number;
  attributes: Partial<Record<Attribute, { error: number; pearson: number | null }>>;
};

export type Spread = AttributeModelDescription["attributes"][number]["spread"];

/** Predictions and labels of one attribute, for the answers that have its label. */
export type Agreement = { predicted: number[]; labels: number[] };

/** @param predictions [rows, attributes] */
export function agreementsOf(
  rows: readonly Pick<TrainingRow, "targets">[],
  predictions: readonly (readonly number[])[],
  attributes: readonly Attribute[],
): Map<Attribute, Agreement> {
  return new Map(
    attributes.map((name, column) => {
      const pairs = rows.flatMap(({ targets }, row) => {
        const label = targets[column] ?? null;
        return label === null ? [] : [{ label, predicted: predictions[row]?.[column] ?? 0 }];
      });
      return [name, { predicted: pairs.map(({ predicted }) => predicted), labels: pairs.map(({ label }) => label) }];
    }),
  );
}

export function validationOf(agreements: ReadonlyMap<Attribute, Agreement>, answers: number): Validation {
  let [squares, labels] = [0, 0];
  const attributes: Validation["attributes"] = {};
  for (const [name, agreement] of agreements) {
    const count = agreement.labels.length;
    if (count === 0) continue;
    const sum = agreement.labels.reduce(
      (total, label, index) => total + (label - (agreement.predicted[index] ?? 0)) ** 2,
      0,
    );
    squares += sum;
    labels += count;
    attributes[name] = { error: sum / count, pearson: pearson(agreement.predicted, agreement.labels) };
  }
  return { answers, error: labels === 0 ? 0 : squares / labels, attributes };
}

/** Shares 0, 1/20, … 1. */
const QUANTILES = 21;

/** Fewer answers say nothing of the ends of a distribution. */
const FEWEST = QUANTILES;

/** How predictions and labels of the same answers are distributed; null where they are too few. */
export function spreadOf({ predicted, labels }: Agreement): Spread {
  if (labels.length < FEWEST) return null;
  return { predicted: quantilesOf(predicted), labels: quantilesOf(labels) };
}

function quantilesOf(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return Array.from({ length: QUANTILES }, (_, index) => quantile(sorted, index / (QUANTILES - 1)));
}
