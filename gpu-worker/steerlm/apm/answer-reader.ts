import { ATTRIBUTES, type MeasuredScale } from "../../../schema/attributes.ts";
import type { AttributeModelDescription } from "../../model/attribute-model.ts";
import type { JudgedAnswer } from "../../model/attribute-text.ts";
import { measuredLevels } from "../../model/measured-levels.ts";
import type { AttributeScorer, Predictions } from "../../runtime/attribute-scorer.ts";
import type { Labels } from "../rounding.ts";
import { spreadOut } from "./spread.ts";

export type ReadingOptions = {
  /** What levels of verbosity and complexity mean, where the model does not predict them. */
  scale: MeasuredScale;
  /** Whether predictions are spread out like labels. */
  spread: boolean;
};

/** Predictions are good to two digits at most; the others would only make files larger. */
const DIGITS = 4;

/** Predictions as labels: within 0–4, fractions kept, and verbosity and complexity measured where they were not predicted. */
export function labelsRead(
  answer: string,
  predictions: Predictions,
  { attributes }: Pick<AttributeModelDescription, "attributes">,
  { scale, spread }: ReadingOptions,
): Labels {
  const read: Labels = { ...measuredLevels(answer, scale) };
  for (const { name, spread: known } of attributes) {
    const prediction = predictions[name];
    if (prediction === undefined) continue;
    const label = spread ? spreadOut(prediction, known) : prediction;
    read[name] = Number(Math.min(4, Math.max(0, label)).toFixed(DIGITS));
  }
  return Object.fromEntries(ATTRIBUTES.flatMap((name) => (read[name] === undefined ? [] : [[name, read[name]]])));
}

/** Reads the attributes of answers. @throws as `AttributeScorer.score` */
export async function readAnswers(
  scorer: AttributeScorer,
  answers: readonly JudgedAnswer[],
  options: ReadingOptions & { signal: AbortSignal },
): Promise<Labels[]> {
  const predictions = await scorer.score(answers, { signal: options.signal });
  return answers.map(({ answer }, index) => labelsRead(answer, predictions[index] ?? {}, scorer.description, options));
}
