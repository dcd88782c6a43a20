import { answerQuestion } from "./answer-questions.ts";
import {
  checkAnswered,
  type Question,
  questionSchema,
  readAllRows,
  readAnswers,
  saveJson,
  saveJsonLines,
} from "./benchmark-files.ts";
import { type JudgePrompt, judgeMessages, judgePromptSchema } from "./judge-prompts.ts";
import type { JudgeRun } from "./judge-run.ts";
import {
  type Judgment,
  judgeNameOf,
  type MtBenchResult,
  needsReference,
  scoreMtBench,
  temperatureOf,
} from "./mt-bench.ts";
import { ratingOf } from "./verdict.ts";

export type MtBenchFiles = {
  questions: string;
  /** FastChat's judge_prompts.jsonl. */
  prompts: string;
  /** Reference answers of mathematics, reasoning and coding. */
  references: string;
  /** The model's answers; without it, the run's answering server is asked. */
  answers?: string | undefined;
};

/** As FastChat asks models and judges. */
const ANSWER_TOKENS = 1024;
const JUDGE_TOKENS = 2048;

/**
 * MT-Bench by single-answer grading (Zheng et al. 2023; fastchat/llm_judge): both turns of every question are answered, and each is
 * rated. Writes the answers in FastChat's format, the judgments and the result.
 *
 * @throws Error where a file lacks something, a server refuses, or the run is ended
 */
export async function runMtBench(run: JudgeRun, files: MtBenchFiles): Promise<MtBenchResult> {
  const questions = await readAllRows(files.questions, questionSchema);
  const prompts = new Map((await readAllRows(files.prompts, judgePromptSchema)).map((prompt) => [prompt.name, prompt]));
  const references = await readAnswers(files.references);
  const referenced = questions.filter(({ category }) => needsReference(category));
  checkAnswered(files.references, referenced, references);
  const tasks = questions.flatMap((question) =>
    question.turns.slice(0, 2).map((_, index) => {
      const turn = index === 0 ? 1 : 2;
      return {
        question,
        turn,
        prompt: promptNamed(files.prompts, prompts, judgeNameOf(question.category, turn)),
      } as const;
    }),
  );
  const answers = await answersOf(run, questions, files);
  const judged = await run.each("judgments", tasks, async ({ question, turn, prompt }, signal) => {
    const { question_id, category, turns } = question;
    const values = fieldsOf(turns, answers.get(question_id) ?? [], references.get(question_id) ?? []);
    const request = { messages: judgeMessages(prompt, values), temperature: 0, max_tokens: JUDGE_TOKENS };
    const { content } = await run.judge.ask(request, signal);
    const judgment: Judgment = { question_id, category, turn, score: ratingOf(content) };
    return { ...judgment, judge: prompt.name, judgment: content };
  });
  const result = scoreMtBench(judged);
  await saveJsonLines(run.path("judgments.jsonl"), judged);
  await saveJson(run.path("result.json"), result);
  return result;
}

function promptNamed(path: string, prompts: ReadonlyMap<string, JudgePrompt>, name: string): JudgePrompt {
  const prompt = prompts.get(name);
  if (prompt !== undefined) return prompt;
  throw new Error(`${path} has no prompt ${name}; it has ${[...prompts.keys()].join(", ")}.`);
}

/** What the prompts of one turn and of two call their parts. */
function fieldsOf(turns: readonly string[], answers: readonly string[], references: readonly string[]) {
  return {
    question: turns[0] ?? "",
    question_1: turns[0] ?? "",
    question_2: turns[1] ?? "",
    answer: answers[0] ?? "",
    answer_1: answers[0] ?? "",
    answer_2: answers[1] ?? "",
    ref_answer_1: references[0] ?? "",
    ref_answer_2: references[1] ?? "",
  };
}

/** The model's answers, from the file or from its server. */
export async function answersOf(
  run: JudgeRun,
  questions: readonly Question[],
  { answers: path }: Pick<MtBenchFiles, "answers">,
): Promise<ReadonlyMap<number, string[]>> {
  if (path !== undefined) {
    const answers = await readAnswers(path);
    checkAnswered(path, questions, answers);
    return answers;
  }
  const { answering } = run;
  if (answering === null)
    throw new Error("Give the model's answers with --answers, or a server that answers with --url.");
  const rows = await run.each("questions answered", questions, async (question, signal) => {
    const sampling = { temperature: temperatureOf(question.category), max_tokens: ANSWER_TOKENS };
    const turns = await answerQuestion(answering, question, sampling, signal);
    return { question_id: question.question_id, choices: [{ index: 0, turns }] };
  });
  await saveJsonLines(run.path("answers.jsonl"), rows);
  return new Map(rows.map(({ question_id, choices }) => [question_id, choices[0]?.turns ?? []]));
}
