/** Two scores of one question, the reference's and the model's, as a judge gave them. */
type PairScore = { reference: number; model: number };

/** One question, judged with the reference first and with the model first; `null` where the judge gave no scores. */
export type VicunaJudgment = { question_id: number; referenceFirst: PairScore | null; modelFirst: PairScore | null };

export type VicunaResult = {
  questions: number;
  /** Questions that a judge scored in neither order. */
  unscored: number;
  /** Sums over the questions, of 10 each. */
  reference_score: number;
  model_score: number;
  /** The model's sum in percent of the reference's; `null` where that is nothing. */
  percent: number | null;
  wins: number;
  ties: number;
  losses: number;
};

/**
 * The evaluation of SteerLM's paper (Dong et al. 2023, table 1) on Vicuna's 80 questions: the mean of both orders, summed over the
 * questions, in percent of the reference's sum. A question that was scored in one order counts by that one.
 */
export function scoreVicuna(judgments: readonly VicunaJudgment[]): VicunaResult {
  const scores = judgments.flatMap(({ referenceFirst, modelFirst }) => {
    const given = [referenceFirst, modelFirst].filter((score) => score !== null);
    if (given.length === 0) return [];
    const mean = (side: keyof PairScore) => given.reduce((sum, score) => sum + score[side], 0) / given.length;
    return [{ reference: mean("reference"), model: mean("model") }];
  });
  const sum = (side: keyof PairScore) => scores.reduce((total, score) => total + score[side], 0);
  const [reference, model] = [sum("reference"), sum("model")];
  return {
    questions: judgments.length,
    unscored: judgments.length - scores.length,
    reference_score: reference,
    model_score: model,
    percent: percentOf(model, reference),
    wins: scores.filter((score) => score.model > score.reference).length,
    ties: scores.filter((score) => score.model === score.reference).length,
    losses: scores.filter((score) => score.model < score.reference).length,
  };
}

export const percentOf = (model: number, reference: number): number | null =>
  reference === 0 ? null : (100 * model) / reference;
