import { join } from "node:path";
import type { AttributeModelDescription } from "../../model/attribute-model.ts";
import type { JudgedAnswer } from "../../model/attribute-text.ts";
import { predictByLength } from "../../model/length-line.ts";
import { countWords } from "../../model/text-statistics.ts";
import { AttributeScorer, type Predictions } from "../../runtime/attribute-scorer.ts";
import { countProgress } from "../evaluate/progress.ts";
import { seededDraws } from "../training/seeded-draws.ts";
import { agreements, type ScoredAnswer } from "./agreement.ts";
import type { EvaluationData } from "./evaluation-data.ts";
import type { EvaluationReport } from "./evaluation-report.ts";
import type { LabelledAnswer } from "./judged-answers.ts";
import { type AnswerPair, pairAccuracies, type ScoredPair } from "./pairwise.ts";
import { PredictionLog } from "./prediction-log.ts";

/** A model, and where its predictions are kept. */
export type Measured = {
  /** Path of the base weights. */
  model: string;
  apm: string;
  cores: number;
  /** Directory. */
  out: string;
  signal: AbortSignal;
  say: (text: string) => void;
};

type Predict = (answers: readonly (JudgedAnswer & { id: string })[]) => Promise<Predictions[]>;

/** Draws of the bootstrap: the same for the same data. */
export const bootstrapDraws = (name: string) => seededDraws(`bootstrap ${name}`);

/** How well a model predicts. @throws Error that says what to do */
export function measureModel({ answers, pairs }: EvaluationData, measured: Measured): Promise<EvaluationReport> {
  return withPredictions(measured, async (predict, { description, contentHash }) => {
    const scored = scoredAnswers(answers, await predict(answers), description);
    const attributes = description.attributes.map(({ name }) => name);
    const accuracies: EvaluationReport["pairs"] = [];
    for (const [file, own] of pairs) {
      const read = await predict(own.flatMap(({ sides }) => sides));
      accuracies.push(...pairAccuracies(file, scoredPairs(own, read), attributes, bootstrapDraws));
    }
    const model = { apm: measured.apm, content: contentHash };
    return { model, agreement: agreements(scored, bootstrapDraws), pairs: accuracies };
  });
}

/** What a model predicts for labelled answers. @throws Error that says what to do */
export const scoreAnswers = (answers: readonly LabelledAnswer[], measured: Measured): Promise<ScoredAnswer[]> =>
  withPredictions(measured, async (predict, { description }) =>
    scoredAnswers(answers, await predict(answers), description),
  );

async function withPredictions<T>(
  { out, signal, say, ...from }: Measured,
  work: (predict: Predict, scorer: AttributeScorer) => Promise<T>,
): Promise<T> {
  await using opened = new AsyncDisposableStack();
  const scorer = await AttributeScorer.load(from);
  opened.defer(() => scorer.release());
  const log = opened.use(await PredictionLog.open(join(out, "predictions.jsonl")));
  const told = { isTerminal: process.stderr.isTTY, write: say, now: () => performance.now() };
  return await work(
    (answers) => log.predict(scorer, answers, { signal, onProgress: countProgress("answers read", told) }),
    scorer,
  );
}

function scoredAnswers(
  answers: readonly LabelledAnswer[],
  predictions: readonly Predictions[],
  { attributes }: AttributeModelDescription,
): ScoredAnswer[] {
  return answers.map(({ source, tree, labels, answer }, index) => {
    const words = countWords(answer);
    const byLength: Predictions = {};
    for (const { name, by_length } of attributes) byLength[name] = predictByLength(by_length, words);
    return { source, tree, labels, predicted: predictions[index] ?? {}, byLength };
  });
}

const scoredPairs = (pairs: readonly AnswerPair[], read: readonly Predictions[]): ScoredPair[] =>
  pairs.map(({ tree, preferred, sides: [first, second] }, index) => ({
    tree,
    preferred,
    predicted: [read[2 * index] ?? {}, read[2 * index + 1] ?? {}],
    words: [countWords(first.answer), countWords(second.answer)],
  }));
