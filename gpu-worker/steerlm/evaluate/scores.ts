import { z } from "zod";
import type { JudgedAnswer } from "../../model/attribute-text.ts";
import { type Evaluation, SCORERS, type Scorer, scorerSchema } from "./evaluation.ts";
import type { JsonlLog } from "./jsonl-log.ts";
import { MEASURES, type Measures } from "./measures.ts";
import { questionKey, questionSchema, type SteeredAnswer } from "./steered-answer.ts";

/** One line of scores.jsonl. */
export const scoreSchema = questionSchema.extend({
  scorer: scorerSchema,
  /** What the scorer was, by its content. */
  identity: z.string(),
  measures: z.partialRecord(z.enum(MEASURES), z.number()),
});
export type Score = z.infer<typeof scoreSchema>;

/** Says something of each answer. The caller releases it. */
export type AnswerScorer = {
  score: (answers: readonly JudgedAnswer[], signal: AbortSignal) => Promise<Measures[]>;
  release: () => void;
};

export type Scoring = {
  evaluation: Evaluation;
  answers: readonly SteeredAnswer[];
  log: JsonlLog<Score>;
  open: (scorer: Scorer) => Promise<AnswerScorer>;
  signal: AbortSignal;
  /** Hears, for a scorer that begins, how many answers it has scored. */
  progress: (scorer: Scorer) => (done: number, total: number) => void;
};

/** Answers that are scored before their scores are written down. */
const BATCH = 32;

/**
 * Scores every answer by each of the evaluation's scorers that has not scored it yet, and adds the scores to the log batch by batch.
 *
 * @throws Error where a scorer fails or the disk does not take its scores; the signal's reason once it is aborted. What is in the log stays.
 */
export async function scoreAnswers(scoring: Scoring): Promise<void> {
  const { evaluation, answers, log, open, signal, progress } = scoring;
  const texts = new Map(evaluation.prompts.map(({ id, text }) => [id, text]));
  for (const scorer of SCORERS) {
    const identity = evaluation.scorers[scorer];
    if (identity === undefined) continue;
    const scored = new Set(
      log.rows.filter((row) => row.scorer === scorer && row.identity === identity).map(questionKey),
    );
    const unscored = answers.filter((answer) => !scored.has(questionKey(answer)));
    if (unscored.length === 0) continue;
    const opened = await open(scorer);
    const onProgress = progress(scorer);
    try {
      for (let start = 0; start < unscored.length; start += BATCH) {
        onProgress(answers.length - unscored.length + start, answers.length);
        const batch = unscored.slice(start, start + BATCH);
        const judged = batch.map(
          ({ prompt, text }): JudgedAnswer => ({
            messages: [{ role: "user", content: texts.get(prompt) ?? "" }],
            answer: text,
          }),
        );
        const measures = await opened.score(judged, signal);
        for (const [index, { text: _, finish: __, tokens: ___, ...question }] of batch.entries()) {
          await log.append({ ...question, scorer, identity, measures: measures[index] ?? {} });
        }
      }
      onProgress(answers.length, answers.length);
    } finally {
      opened.release();
    }
  }
}

/** What an evaluation's scorers said, by the question's key. What others said that were asked before is left out. */
export function scoresOf(evaluation: Evaluation, rows: readonly Score[]): Map<string, Measures> {
  const scores = new Map<string, Measures>();
  for (const row of rows) {
    if (evaluation.scorers[row.scorer] !== row.identity) continue;
    const key = questionKey(row);
    scores.set(key, { ...scores.get(key), ...row.measures });
  }
  return scores;
}
