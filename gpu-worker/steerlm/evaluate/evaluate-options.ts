import { type Command, InvalidArgumentError, Option } from "commander";
import {
  ATTRIBUTES,
  type Attribute,
  type AttributeLevels,
  attributeSchema,
  levelSchema,
  strengthSchema,
} from "../../../schema/attributes.ts";
import { calibratedContrastSchema } from "../../../schema/calibration.ts";
import { DEFAULT_PARTS } from "../datasets/split.ts";
import { count, nonNegative, positiveCount } from "../training/training-options.ts";
import type { Evaluation } from "./evaluation.ts";

function attributeOf(text: string): Attribute {
  const parsed = attributeSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`${text} is none of ${ATTRIBUTES.join(", ")}.`);
}

/** `humor,toxicity`. */
export function attributes(text: string): Attribute[] {
  return [...new Set(text.split(",").map(attributeOf))];
}

/** `verbosity=2,quality=4`. */
export function levels(text: string): AttributeLevels {
  const read: AttributeLevels = {};
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.split("=");
    const level = levelSchema.safeParse(value === "" ? undefined : Number(value));
    if (!level.success) throw new InvalidArgumentError(`${part} is not attribute=level, with a level from 0 to 4.`);
    read[attributeOf(name)] = level.data;
  }
  return read;
}

type Held = Partial<Record<Attribute, AttributeLevels>>;

/** `complexity:verbosity=2`; several with spaces between them. */
function hold(text: string, earlier: Held = {}): Held {
  const [name = "", beside = ""] = text.split(":");
  const attribute = attributeOf(name);
  const held = levels(beside);
  if (attribute in held) throw new InvalidArgumentError(`${attribute} cannot be held while it is swept.`);
  return { ...earlier, [attribute]: held };
}

const combine = (text: string, earlier: AttributeLevels[] = []): AttributeLevels[] => [...earlier, levels(text)];

function strengths(text: string): number[] {
  const read = text.split(",").map((part) => strengthSchema.safeParse(part.trim() === "" ? undefined : Number(part)));
  const valid = read.flatMap(({ data }) => (data === undefined ? [] : [data]));
  if (valid.length < read.length) throw new InvalidArgumentError("Must be numbers from 1 to 5, such as 1,1.5,2.");
  return [...new Set(valid)].sort((a, b) => a - b);
}

/** One factor of guidance. */
export function strength(text: string): number {
  const [only = 1, ...others] = strengths(text);
  if (others.length === 0) return only;
  throw new InvalidArgumentError("Must be one number from 1 to 5.");
}

/** A number from 0 to `most`. */
export const upTo =
  (most: number) =>
  (text: string): number => {
    const value = nonNegative(text);
    if (value > most) throw new InvalidArgumentError(`Must be from 0 to ${most}.`);
    return value;
  };

function partNames(text: string): string[] {
  const names = text.split(",");
  const unknown = names.find((name) => !DEFAULT_PARTS.some((part) => part.name === name));
  if (unknown === undefined) return names;
  throw new InvalidArgumentError(`${unknown} is none of ${DEFAULT_PARTS.map(({ name }) => name).join(", ")}.`);
}

export type EvaluateFlags = {
  model?: string;
  adapter: string;
  prompts: string[];
  part?: string[];
  limit: number;
  attributes?: Attribute[];
  hold: Held;
  strengths: number[];
  against: Evaluation["against"];
  combine?: AttributeLevels[];
  baseline: "words" | "none";
  control?: string;
  samples: number;
  temperature: number;
  minP: number;
  maxTokens: number;
  seed: number;
  apm?: string;
  judge?: string;
  perplexity: boolean;
  rows: number;
  cores: number;
  out: string;
};

const number = (flags: string, description: string, fallback: number, parse: (text: string) => number) =>
  new Option(flags, description).default(fallback).argParser(parse);

/** Adds the options of a run. */
export function withEvaluateOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--model <path or id>",
        "GGUF file, directory or hf:owner/name the adapter was trained on; without it, SmolLM2-135M-Instruct is fetched",
      ).env("ATTUNE_MODEL"),
    )
    .requiredOption("--adapter <directory>", "the LoRA to evaluate, with its profile.json")
    .requiredOption("--prompts <files...>", "data sets whose first turns are asked")
    .addOption(
      new Option("--part <names>", "only prompts of these parts, such as validation,test").argParser(partNames),
    )
    .addOption(number("--limit <number>", "most prompts", 40, positiveCount))
    .addOption(
      new Option("--attributes <names>", "what to sweep; without it, all that it was trained on").argParser(attributes),
    )
    .addOption(
      new Option("--hold <attribute:levels...>", "levels beside a swept attribute, such as complexity:verbosity=2")
        .argParser(hold)
        .default({}, "none"),
    )
    .addOption(
      new Option("--strengths <numbers>", "how strongly to steer")
        .default([1, 1.5, 2, 2.5], "1,1.5,2,2.5")
        .argParser(strengths),
    )
    .addOption(
      new Option(
        "--against <what>",
        "what strength steers away from: no label line, the held levels alone, or the opposite level",
      )
        .choices(calibratedContrastSchema.options)
        .default("unsteered"),
    )
    .addOption(
      new Option(
        "--combine <levels...>",
        "combinations, such as verbosity=0,complexity=4; without it, the far corners of verbosity and complexity",
      ).argParser(combine),
    )
    .addOption(
      new Option("--baseline <kind>", "whether the plain model is instructed in words, to compare")
        .choices(["words", "none"])
        .default("words"),
    )
    .option("--control <directory>", "a LoRA trained on shuffled labels, which must not obey")
    .addOption(number("--samples <number>", "answers to a prompt under one label line", 1, positiveCount))
    .addOption(number("--temperature <number>", "of sampling", 0.7, upTo(2)))
    .addOption(number("--min-p <share>", "of sampling", 0.05, upTo(1)))
    .addOption(number("--max-tokens <number>", "longest answer", 400, positiveCount))
    .addOption(number("--seed <number>", "draws other answers", 0, count))
    .option("--apm <directory>", "the attribute prediction model that labelled the training data")
    .option("--judge <directory>", "one that had no part in training: it decides where there is one")
    .option("--no-perplexity", "do not ask the plain model how likely the answers are")
    .addOption(number("--rows <number>", "answers that are generated together", 16, positiveCount))
    .addOption(number("--cores <number>", "physical cores to compute on, 0 for all", 0, count))
    .requiredOption("--out <directory>", "where answers, scores and report are kept");
}
