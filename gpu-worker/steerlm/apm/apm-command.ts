import { Command, InvalidArgumentError, Option } from "commander";
import { pullModel } from "../../model/pull.ts";
import { Interruption } from "../interruption.ts";
import { type ReadingFlags, readingOf, withReadingOptions } from "../reading-options.ts";
import { positiveCount } from "../training/training-options.ts";
import { withApmTrainingOptions } from "./apm-options.ts";
import { type EvaluateApmFlags, evaluateApm } from "./evaluate-apm.ts";
import { measuredOf } from "./measured-of.ts";
import { readLabelled } from "./read-labelled.ts";
import { score } from "./score.ts";
import { withScorerOptions } from "./scorer-options.ts";
import { type ApmTrainingFlags, apmDirectory, trainApm } from "./train-apm.ts";

const say = (text: string) => console.error(text);

async function trainFiles(files: string[], flags: ReadingFlags & ApmTrainingFlags): Promise<void> {
  using interruption = new Interruption();
  const { signal } = interruption;
  const model = await pullModel({ path: flags.model, signal, onNotice: say });
  const answers = await readLabelled(await readingOf(files, flags, signal));
  const end = await trainApm({ flags, model, answers, measured: measuredOf(flags), signal, say });
  if (end.isFinished) say(`Trained ${end.step} steps. The attribute prediction model is ${apmDirectory(flags.out)}.`);
  else {
    say(`Interrupted after ${end.step} steps. Go on with the same command and --resume.`);
    process.exitCode = 130;
  }
}

function folds(text: string): number {
  const count = positiveCount(text);
  if (count < 2) throw new InvalidArgumentError("Must be 2 or more.");
  return count;
}

/** `attune apm …`: the attribute prediction model. */
export function apmCommand(): Command {
  const apm = new Command("apm").description("the attribute prediction model, which reads attributes off answers");
  withApmTrainingOptions(withReadingOptions(apm.command("train")))
    .description("train one on answers that people judged")
    .action(trainFiles);
  withScorerOptions(withReadingOptions(apm.command("score"), "[files...]"))
    .description("read the attributes of each answer of files, or of one answer")
    .option("--out <file>", "JSON lines to write for files, packed if the name ends in .gz")
    .option("--question <text>", "what the one answer answers")
    .option("--answer <text>", "the one answer; without it and without files it is read from the standard input")
    .action(score);
  withApmTrainingOptions(withReadingOptions(apm.command("evaluate")))
    .description("measure one on answers that people judged or compared, against their length alone")
    .addOption(new Option("--apm <directory>", "the one to measure"))
    .addOption(
      new Option("--folds <number>", "train that many on parts of the trees, and measure each on the rest").argParser(
        folds,
      ),
    )
    .addOption(
      new Option("--limit <number>", "most labelled answers, and most pairs, of a file").argParser(positiveCount),
    )
    .action((files: string[], flags: EvaluateApmFlags) => evaluateApm(files, flags));
  return apm;
}
