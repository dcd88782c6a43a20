import { checkAnswered, questionSchema, readAllRows, readAnswers, saveJson, saveJsonLines } from "./benchmark-files.ts";
import { judgeMessages, type VicunaPrompt, vicunaPromptSchema } from "./judge-prompts.ts";
import type { JudgeRun } from "./judge-run.ts";
import { answersOf } from "./run-mt-bench.ts";
import { scorePairOf } from "./verdict.ts";
import { scoreVicuna, type VicunaResult } from "./vicuna.ts";

export type VicunaFiles = {
  questions: string;
  /** `fastchat/eval/table/prompt.jsonl`. */
  prompts: string;
  /** Answers of the model to compare with. */
  reference: string;
  answers?: string | undefined;
};

/** As `eval_gpt_review.py` asks. */
const JUDGE = { temperature: 0.2, max_tokens: 1024 };
const GENERAL = "general";

/**
 * Vicuna's 80 questions by a judge who scores two answers, in both orders. Writes answers, judgments and the result.
 *
 * @throws Error where a file lacks something, a server refuses, or the run is ended
 */
export async function runVicuna(run: JudgeRun, files: VicunaFiles): Promise<VicunaResult> {
  const questions = await readAllRows(files.questions, questionSchema);
  const prompts = await readAllRows<VicunaPrompt>(files.prompts, vicunaPromptSchema);
  const references = await readAnswers(files.reference);
  checkAnswered(files.reference, questions, references);
  const answers = await answersOf(run, questions, files);
  const judged = await run.each("questions judged", questions, async ({ question_id, category, turns }, signal) => {
    const prompt = promptFor(files.prompts, prompts, category);
    const [question = "", model = "", reference = ""] = [
      turns[0],
      answers.get(question_id)?.[0],
      references.get(question_id)?.[0],
    ];
    const review = async (first: string, second: string): Promise<string> => {
      const values = { ...prompt.defaults, question, answer_1: first, answer_2: second };
      return (await run.judge.ask({ messages: judgeMessages(prompt, values), ...JUDGE }, signal)).content;
    };
    const reviews = [await review(reference, model), await review(model, reference)] as const;
    const [before, after] = [scorePairOf(reviews[0]), scorePairOf(reviews[1])];
    return {
      question_id,
      referenceFirst: before === null ? null : { reference: before[0], model: before[1] },
      modelFirst: after === null ? null : { reference: after[1], model: after[0] },
      reviews,
    };
  });
  const result = scoreVicuna(judged);
  await saveJsonLines(run.path("judgments.jsonl"), judged);
  await saveJson(run.path("result.json"), result);
  return result;
}

/** Code and mathematics have prompts of their own. */
function promptFor(path: string, prompts: readonly VicunaPrompt[], category: string): VicunaPrompt {
  const prompt = prompts.find((one) => one.category === category) ?? prompts.find((one) => one.category === GENERAL);
  if (prompt === undefined) throw new Error(`${path} has a prompt neither for ${category} nor for ${GENERAL}.`);
  return prompt;
}
