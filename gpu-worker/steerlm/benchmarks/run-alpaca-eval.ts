import { unitHash } from "../unit-hash.ts";
import { type Comparison, controlLength, type LengthControl, type WinRate, winRate } from "./alpaca-eval.ts";
import { answerQuestion } from "./answer-questions.ts";
import {
  gamedSchema,
  type Output,
  outputSchema,
  readAllRows,
  readText,
  saveJson,
  saveJsonLines,
} from "./benchmark-files.ts";
import { chatmlMessages } from "./judge-prompts.ts";
import type { JudgeRun } from "./judge-run.ts";
import { preferenceOf } from "./verdict.ts";

export type AlpacaEvalFiles = {
  /** Instructions with the baseline's outputs. */
  baseline: string;
  /** AlpacaEval's alpaca_eval_clf.txt. */
  prompt: string;
  /** AlpacaEval's df_gamed.csv, without which lengths are not controlled. */
  gamed?: string | undefined;
  answers?: string | undefined;
};

export type AlpacaEvalResult = WinRate & {
  /** Instructions of which the judge did not say which answer is better; they count nowhere. */
  unjudged: number;
  length_control: LengthControl | null;
};

const ANSWER_TOKENS = 2048;
/** `weighted_alpaca_eval_gpt4_turbo`: one token, whose probabilities count and not itself. */
const JUDGE = { temperature: 1, max_tokens: 1, logprobs: true, top_logprobs: 5 };

/**
 * AlpacaEval 2: a judge prefers the model's or the baseline's answer to each instruction, shown in an order that depends on the
 * instruction alone. Writes outputs, annotations and the result.
 *
 * @throws Error where a file lacks something, the judge says no log-probabilities, a server refuses, or the run is ended
 */
export async function runAlpacaEval(run: JudgeRun, files: AlpacaEvalFiles): Promise<AlpacaEvalResult> {
  const baseline = await readAllRows<Output>(files.baseline, outputSchema);
  const prompt = await readText(files.prompt);
  const gamed = files.gamed === undefined ? null : await readAllRows(files.gamed, gamedSchema);
  const outputs = await outputsOf(run, baseline, files);
  const annotated = await run.each("instructions judged", [...baseline.entries()], async ([index, one], signal) => {
    const { instruction, output: reference } = one;
    const output = outputs.get(instruction) ?? "";
    const isSwapped = unitHash(instruction) < 0.5;
    const [output_1, output_2] = isSwapped ? [output, reference] : [reference, output];
    const messages = chatmlMessages(prompt, { instruction, output_1, output_2 });
    const { firstToken } = await run.judge.ask({ messages, ...JUDGE }, signal);
    if (firstToken === null) {
      throw new Error(
        "The judge's server says no log-probabilities, of which AlpacaEval's preference is made. Take another.",
      );
    }
    const second = preferenceOf(firstToken);
    const preference = second === null ? null : isSwapped ? 1 - second : second;
    return {
      index,
      instruction,
      preference,
      swapped: isSwapped,
      baselineLength: characters(reference),
      modelLength: characters(output),
    };
  });
  await saveJsonLines(run.path("annotations.jsonl"), annotated);
  const comparisons = annotated.flatMap(({ preference, index, baselineLength, modelLength }): Comparison[] =>
    preference === null ? [] : [{ index, preference, baselineLength, modelLength }],
  );
  const result: AlpacaEvalResult = {
    ...winRate(comparisons),
    unjudged: annotated.length - comparisons.length,
    length_control: gamed === null ? null : controlLength(comparisons, gamed),
  };
  await saveJson(run.path("result.json"), result);
  return result;
}

/** Code points, as Python counts a text. */
const characters = (text: string): number => [...text].length;

/** The model's outputs by instruction, from the file or from its server. */
async function outputsOf(
  run: JudgeRun,
  baseline: readonly Output[],
  { answers: path }: AlpacaEvalFiles,
): Promise<Map<string, string>> {
  if (path !== undefined) {
    const rows = await readAllRows<Output>(path, outputSchema);
    const outputs = new Map(rows.map(({ instruction, output }) => [instruction, output]));
    const open = baseline.filter(({ instruction }) => !outputs.has(instruction));
    if (open.length === 0) return outputs;
    throw new Error(
      `${path} lacks outputs for ${open.length} of ${baseline.length} instructions, such as: ${open[0]?.instruction}`,
    );
  }
  const { answering } = run;
  if (answering === null)
    throw new Error("Give the model's outputs with --answers, or a server that answers with --url.");
  const rows = await run.each("instructions answered", baseline, async ({ instruction }, signal) => {
    const [output = ""] = await answerQuestion(
      answering,
      { turns: [instruction] },
      { max_tokens: ANSWER_TOKENS },
      signal,
    );
    return { instruction, output };
  });
  await saveJsonLines(run.path("answers.jsonl"), rows);
  return new Map(rows.map(({ instruction, output }) => [instruction, output]));
}
