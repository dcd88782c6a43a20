import { join } from "node:path";
import type { MeasuredScale } from "../../../schema/attributes.ts";
import { partOf } from "../datasets/split.ts";
import { agreements, type ScoredAnswer } from "./agreement.ts";
import type { EvaluationReport } from "./evaluation-report.ts";
import type { LabelledAnswer } from "./judged-answers.ts";
import { bootstrapDraws, scoreAnswers } from "./measure.ts";
import { type ApmTrainingFlags, apmDirectory, trainApm } from "./train-apm.ts";

export type CrossValidation = {
  folds: number;
  /** Of each training; `out`: where every fold has a directory of its own. */
  flags: ApmTrainingFlags;
  /** Path of the base weights. */
  model: string;
  measured: Partial<MeasuredScale>;
  signal: AbortSignal;
  say: (text: string) => void;
};

/**
 * What a model would be worth that is trained on these answers: for each part of their trees one is trained on all others, and measured on
 * that part.
 *
 * @returns null where it was interrupted; the same call goes on.
 * @throws Error that says what to do
 */
export async function crossValidate(
  answers: readonly LabelledAnswer[],
  { folds, flags, model, measured, signal, say }: CrossValidation,
): Promise<EvaluationReport | null> {
  const parts = Array.from({ length: folds }, (_, fold) => ({ name: String(fold), weight: 1 }));
  const foldOf = ({ tree }: LabelledAnswer) => partOf(tree, parts, `fold:${flags.seed}`);
  const scored: ScoredAnswer[] = [];
  for (let fold = 0; fold < folds; fold++) {
    say(`Fold ${fold + 1} of ${folds}.`);
    const out = join(flags.out, `fold-${fold + 1}`);
    const others = answers.filter((answer) => foldOf(answer) !== fold);
    const own = { ...flags, out, resume: true, seed: `${flags.seed}:${fold}` };
    const { isFinished } = await trainApm({ flags: own, model, answers: others, measured, signal, say });
    if (!isFinished) return null;
    const heldOut = answers.filter((answer) => foldOf(answer) === fold);
    scored.push(
      ...(await scoreAnswers(heldOut, { model, apm: apmDirectory(out), cores: flags.cores, out, signal, say })),
    );
  }
  return { model: { folds }, agreement: agreements(scored, bootstrapDraws), pairs: [] };
}
