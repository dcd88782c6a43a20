import { Command, InvalidArgumentError, Option } from "commander";
import type { Attribute, AttributeLevels } from "../../../schema/attributes.ts";
import { type ScorerFlags, withOptionalScorerOptions } from "../apm/scorer-options.ts";
import { attributes, levels, strength, upTo } from "../evaluate/evaluate-options.ts";
import { probability, type ReadingFlags, withReadingOptions } from "../reading-options.ts";
import { count, positiveCount } from "../training/training-options.ts";

export type BootstrapFlags = ReadingFlags &
  Omit<ScorerFlags, "apm"> & {
    apm?: string;
    adapter?: string;
    words?: Attribute[];
    from?: string[];
    require: AttributeLevels;
    sweep: Attribute[];
    strength: number;
    away: Attribute[];
    asAsked: Attribute[];
    replies: number;
    limit?: number;
    maxPrompt: number;
    maxTokens: number;
    temperature: number;
    topK: number;
    topP: number;
    seed: string;
    rows: number;
    out: string;
  };

function topShare(text: string): number {
  const value = probability(text);
  if (value === 0) throw new InvalidArgumentError("Must be above 0.");
  return value;
}

const number = (flags: string, description: string, fallback: number, parse: (text: string) => number) =>
  new Option(flags, description).default(fallback).argParser(parse);

/** `attune bootstrap …` and its options. */
export function bootstrapOptions(): Command {
  return withOptionalScorerOptions(withReadingOptions(new Command("bootstrap")))
    .description("let a model answer the questions of data sets, and label what it says, to train it on that")
    .addOption(new Option("--adapter <directory>", "the LoRA that answers, with its profile.json").conflicts("words"))
    .addOption(
      new Option(
        "--words <attributes>",
        "no LoRA: the plain model answers, told in words how much to be of these",
      ).argParser(attributes),
    )
    .option(
      "--from <files...>",
      "annotated files whose combinations of levels are asked for; without it, those of <files>",
    )
    .addOption(
      new Option("--require <levels>", "ask only for combinations that have these, such as quality=4")
        .argParser(levels)
        .default({}, "none"),
    )
    .addOption(
      new Option("--sweep <attributes>", "ask each question for every level of these, such as complexity,humor")
        .argParser(attributes)
        .default([], "none"),
    )
    .addOption(number("--strength <factor>", "how strongly replies are held to their label line", 1, strength))
    .addOption(
      new Option(
        "--away <attributes>",
        "strength steers away from the opposite level of these, the others held; without it, from no label line",
      )
        .argParser(attributes)
        .default([], "none"),
    )
    .addOption(
      new Option("--as-asked <attributes>", "label these as asked for, and leave out what is read to be the opposite")
        .argParser(attributes)
        .default([], "none"),
    )
    .addOption(number("--replies <number>", "to each question, under the same label line", 4, positiveCount))
    .addOption(new Option("--limit <number>", "most questions; all without it").argParser(positiveCount))
    .addOption(number("--max-prompt <tokens>", "longer questions are not asked", 256, positiveCount))
    .addOption(number("--max-tokens <number>", "longest reply", 256, positiveCount))
    .addOption(number("--temperature <number>", "of sampling", 0.7, upTo(2)))
    .addOption(number("--top-k <number>", "most likely tokens that are drawn from, 0 for all", 50, count))
    .addOption(number("--top-p <share>", "of their probability that they make up", 0.9, topShare))
    .option("--seed <text>", "draws other questions, combinations and replies", "0")
    .addOption(number("--rows <number>", "replies that are generated together", 16, positiveCount))
    .requiredOption("--out <file>", "file to write, packed if its name ends in .gz");
}
