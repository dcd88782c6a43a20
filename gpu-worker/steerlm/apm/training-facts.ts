import type { Attribute } from "../../../schema/attributes.ts";
import { type LengthLine, logWords, predictByLength } from "../../model/length-line.ts";
import { fitLine } from "../statistics/regression.ts";
import { sourceShares } from "./row-sequence.ts";
import type { TrainingRow, TrainingSet } from "./training-set.ts";

/** What is known of an attribute before anything is learnt: the mean of its labels, and how they go with an answer's length. */
export type AttributeFacts = { name: Attribute; mean: number; byLength: LengthLine };

/** Answers count as much as they are drawn: a large source that is drawn from rarely does not outweigh the others. */
export function trainingFacts(
  { attributes, train }: Pick<TrainingSet, "attributes" | "train">,
  sourceWeights?: ReadonlyMap<string, number>,
): AttributeFacts[] {
  const shares = sourceShares(train, sourceWeights);
  const answers = Map.groupBy(train, ({ source }) => source);
  const weightOf = (source: string) => (shares.get(source) ?? 0) / (answers.get(source)?.length ?? 1);
  return attributes.map((name) => {
    const labelled = train.flatMap(({ source, words, labels }) => {
      const label = labels[name];
      return label === undefined ? [] : [{ source, length: logWords(words), label, weight: weightOf(source) }];
    });
    // Of an attribute that only answers have which are held out, or never drawn, nothing is known.
    if (labelled.every(({ weight }) => weight === 0)) return { name, mean: 0, byLength: { intercept: 0, slope: 0 } };
    const slope = slopeWithinSources(labelled);
    const [length, mean] = [weightedMean(labelled, "length"), weightedMean(labelled, "label")];
    return { name, mean, byLength: { intercept: mean - slope * length, slope } };
  });
}

type Labelled = { source: string; length: number; label: number; weight: number };

/** How labels go with length within each source: that comments are short and rude says nothing of how short answers are. */
function slopeWithinSources(labelled: readonly Labelled[]): number {
  const centred = [...Map.groupBy(labelled, ({ source }) => source).values()].flatMap((rows) => {
    const [length, label] = [weightedMean(rows, "length"), weightedMean(rows, "label")];
    return rows.map((row) => ({ ...row, length: row.length - length, label: row.label - label }));
  });
  const column = (name: "length" | "label" | "weight") => centred.map((row) => row[name]);
  return fitLine(column("length"), column("label"), column("weight"))?.slope ?? 0;
}

function weightedMean(rows: readonly Labelled[], name: "length" | "label"): number {
  const total = rows.reduce((sum, { weight }) => sum + weight, 0);
  return total === 0 ? 0 : rows.reduce((sum, row) => sum + row[name] * row.weight, 0) / total;
}

/** Rows whose targets are by how much their labels differ from what their length suggests. */
export const beyondLength = (rows: readonly TrainingRow[], facts: readonly AttributeFacts[]): TrainingRow[] =>
  rows.map((row) => ({
    ...row,
    targets: facts.map(({ name, byLength }) => {
      const label = row.labels[name];
      return label === undefined ? null : label - predictByLength(byLength, row.words);
    }),
  }));
