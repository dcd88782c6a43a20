import { type Command, Option } from "commander";
import type { MeasuredScale } from "../../../schema/attributes.ts";
import { pullModel } from "../../model/pull.ts";
import { AttributeScorer } from "../../runtime/attribute-scorer.ts";
import type { ReadingFlags } from "../reading-options.ts";
import { count } from "../training/training-options.ts";
import type { ReadingOptions } from "./answer-reader.ts";

export type ScorerFlags = {
  model?: string;
  apm: string;
  spread: "off" | "quantile";
  cores: number;
};

const APM = ["--apm <directory>", "the attribute prediction model, as attune apm train writes it"] as const;

/** Adds the options of every command that reads attributes off answers. */
export const withScorerOptions = (command: Command): Command => withReadOptions(command.requiredOption(...APM));

/** The same where verbosity and complexity alone can be read, too: by measuring. */
export const withOptionalScorerOptions = (command: Command): Command =>
  withReadOptions(command.option(APM[0], `${APM[1]}; without it verbosity and complexity are measured, nothing else`));

function withReadOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--model <path or id>",
        "weights that it was trained on: GGUF file, directory or hf:owner/name; without it, SmolLM2-135M-Instruct is fetched",
      ).env("ATTUNE_MODEL"),
    )
    .addOption(
      new Option("--spread <how>", "keep predictions as they are (off), or spread them out like labels (quantile)")
        .choices(["off", "quantile"])
        .default("off"),
    )
    .addOption(new Option("--cores <number>", "physical cores to compute on, 0 for all").default(0).argParser(count));
}

/** The model that the flags name. The caller releases it. @throws Error where it cannot be read */
export async function scorerOf(
  { model, apm, cores }: Pick<ScorerFlags, "model" | "apm" | "cores">,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<AttributeScorer> {
  const weights = await pullModel({ path: model, signal, onNotice: say });
  return AttributeScorer.load({ model: weights, apm, cores });
}

/** How answers are read: edges that were asked for, else those that the model has from its training. */
export function readingOptions(
  { measured }: Pick<AttributeScorer["description"], "measured">,
  { spread, verbosityEdges, complexityEdges }: ReadingFlags & Pick<ScorerFlags, "spread">,
  command: Pick<Command, "getOptionValueSource">,
): ReadingOptions {
  const isAsked = (name: string) => command.getOptionValueSource(name) === "cli";
  const scale: MeasuredScale = {
    verbosity: isAsked("verbosityEdges") ? verbosityEdges : (measured.verbosity ?? verbosityEdges),
    complexity: isAsked("complexityEdges") ? complexityEdges : (measured.complexity ?? complexityEdges),
  };
  return { scale, spread: spread === "quantile" };
}
