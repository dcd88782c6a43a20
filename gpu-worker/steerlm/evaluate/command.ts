import { join } from "node:path";
import { Command } from "commander";
import { ATTRIBUTES } from "../../../schema/attributes.ts";
import { pullModel } from "../../model/pull.ts";
import { lockDirectory } from "../directory-lock.ts";
import { Interruption } from "../interruption.ts";
import { type EvaluateFlags, withEvaluateOptions } from "./evaluate-options.ts";
import { beginEvaluation } from "./evaluation-directory.ts";
import { countProgress } from "./progress.ts";
import { answerAll, evaluationOf, type Saying, scoreAll } from "./run-evaluation.ts";
import { writeCalibration } from "./write-calibration.ts";
import { REPORT_FILE, writeReport } from "./write-report.ts";

const saying: Saying = {
  notice: (text) => console.error(text),
  progress: (noun) =>
    countProgress(noun, {
      isTerminal: process.stderr.isTTY,
      write: (line) => console.error(line),
      now: () => performance.now(),
    }),
};

async function run(flags: EvaluateFlags): Promise<void> {
  using interruption = new Interruption(
    `Interrupted. What was finished is in ${flags.out}: the same command goes on there.`,
  );
  const { signal } = interruption;
  const model = await pullModel({ path: flags.model, signal, onNotice: saying.notice });
  const evaluation = await evaluationOf(flags, model, signal);
  using _lock = await lockDirectory(flags.out);
  await beginEvaluation(flags.out, evaluation);
  const running = { flags, model, signal, saying };
  await answerAll(evaluation, running);
  await scoreAll(evaluation, running);
  await report(flags.out);
}

async function report(directory: string): Promise<void> {
  await writeReport(directory);
  console.log(join(directory, REPORT_FILE));
}

async function calibrate(first: string, others: string[], { adapter }: { adapter: string }): Promise<void> {
  const { attributes, default_strength } = await writeCalibration([first, ...others], adapter);
  const steerable = ATTRIBUTES.filter((name) => attributes[name]?.steerable);
  console.log(
    `Steerable: ${steerable.length === 0 ? "nothing" : steerable.join(", ")}. Default strength: ${default_strength}.`,
  );
}

/** `attune evaluate …`: how far answers follow the levels that are asked for. */
export function evaluateCommand(): Command {
  const evaluate = new Command("evaluate").description("measure how far answers follow the levels that are asked for");
  withEvaluateOptions(evaluate.command("run", { isDefault: true }))
    .description("answer prompts at every level, and measure the answers")
    .action(run);
  evaluate
    .command("report")
    .description("report again on what an evaluation holds, finished or not")
    .argument("<directory>", "what --out named")
    .action(report);
  evaluate
    .command("calibrate")
    .description("write calibration.json into the adapter, and the default strength into its profile")
    .argument("<directory>", "what --out named")
    .argument("[others...]", "evaluations that add attributes, such as one of toxicity on prompts that provoke it")
    .requiredOption("--adapter <directory>", "the adapter that was evaluated")
    .action(calibrate);
  return evaluate;
}
