import { type Command, InvalidArgumentError, Option } from "commander";
import { DEFAULT_ATTRIBUTE_TEXT, FEWEST_TOKENS } from "../../model/attribute-text.ts";
import { probability } from "../reading-options.ts";
import { nonNegative, positiveCount, withTrainingOptions } from "../training/training-options.ts";

function sourceWeights(text: string): Map<string, number> {
  const weights = text.split(",").map((part): [string, number] => {
    const [name = "", weight = ""] = part.split("=");
    if (name === "" || weight === "") throw new InvalidArgumentError(`${part} is not source=weight.`);
    return [name, nonNegative(weight)];
  });
  return new Map(weights);
}

function maxTokens(text: string): number {
  const tokens = positiveCount(text);
  if (tokens < FEWEST_TOKENS) throw new InvalidArgumentError(`Must be ${FEWEST_TOKENS} or more.`);
  return tokens;
}

/** Adds the options of every command that trains an attribute prediction model. */
export function withApmTrainingOptions(command: Command): Command {
  const number = (flags: string, description: string, fallback: number, parse: (text: string) => number) =>
    new Option(flags, description).default(fallback).argParser(parse);
  return withTrainingOptions(command, { rank: 16, alpha: 32, lr: 5e-4, batchTokens: 2048, microTokens: 1024 })
    .addOption(
      number(
        "--max-tokens <number>",
        "most of a text: the question loses its beginning, the answer its end",
        DEFAULT_ATTRIBUTE_TEXT.max_tokens,
        maxTokens,
      ),
    )
    .addOption(
      new Option(
        "--source-weight <weights>",
        "how often each source is drawn from, such as oasst=1,davidson=0.3; one that is not named counts 1",
      ).argParser(sourceWeights),
    )
    .addOption(
      new Option("--balance <how>", "draw answers with rare levels more often (sqrt), or all alike (off)")
        .choices(["off", "sqrt"])
        .default("off"),
    )
    .addOption(number("--validation <share>", "trees that are held out to find the best step", 0.1, probability))
    .addOption(number("--validation-rows <number>", "most answers of them that are read each time", 160, positiveCount))
    .addOption(
      new Option("--validate-every <steps>", "how often they are read; eight times without it").argParser(
        positiveCount,
      ),
    );
}
