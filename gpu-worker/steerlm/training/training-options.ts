import { type Command, InvalidArgumentError, Option } from "commander";
import type { AdamWSettings } from "../optimiser/adamw.ts";
import type { Schedule } from "../optimiser/learning-rate.ts";

export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError("Must be a number above 0.");
  return value;
}

export function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0) || !Number.isFinite(value)) {
    throw new InvalidArgumentError("Must be a number from 0 on.");
  }
  return value;
}

export function count(text: string): number {
  const value = nonNegative(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("Must be a whole number.");
  return value;
}

export function positiveCount(text: string): number {
  if (count(text) === 0) throw new InvalidArgumentError("Must be 1 or more.");
  return Number(text);
}

export type TrainingFlags = {
  model?: string;
  out: string;
  resume: boolean;
  rank: number;
  alpha: number;
  lr: number;
  warmUp: number;
  steps?: number;
  tokens?: number;
  batchTokens: number;
  microTokens: number;
  seed: string;
  checkpointMinutes: number;
  cores: number;
};

type Defaults = Pick<TrainingFlags, "rank" | "alpha" | "lr" | "batchTokens" | "microTokens">;

/** Adds the options of every command that trains. */
export function withTrainingOptions(command: Command, defaults: Defaults): Command {
  const number = (flags: string, description: string, fallback: number, parse: (text: string) => number) =>
    new Option(flags, description).default(fallback).argParser(parse);
  return command
    .addOption(
      new Option(
        "--model <path or id>",
        "GGUF file, directory or hf:owner/name to train on; without it, SmolLM2-135M-Instruct is fetched",
      ).env("ATTUNE_MODEL"),
    )
    .requiredOption("--out <directory>", "where checkpoint, history and what is trained are kept")
    .option("--resume", "go on with the run in that directory", false)
    .addOption(number("--rank <number>", "rank of the LoRA", defaults.rank, positiveCount))
    .addOption(number("--alpha <number>", "its scale is alpha / rank", defaults.alpha, positive))
    .addOption(number("--lr <rate>", "highest learning rate; it falls along a cosine", defaults.lr, positive))
    .addOption(number("--warm-up <steps>", "steps in which it rises", 10, count))
    .addOption(new Option("--steps <number>", "how long to train").argParser(positiveCount))
    .addOption(new Option("--tokens <number>", "the same in tokens").argParser(positiveCount).conflicts("steps"))
    .addOption(number("--batch-tokens <number>", "tokens of a step, with padding", defaults.batchTokens, positiveCount))
    .addOption(
      number("--micro-tokens <number>", "tokens computed at once: memory", defaults.microTokens, positiveCount),
    )
    .option("--seed <text>", "draws other batches and start values", "0")
    .addOption(number("--checkpoint-minutes <number>", "between two checkpoints, 0: every step", 5, nonNegative))
    .addOption(number("--cores <number>", "physical cores to compute on, 0 for all", 0, count));
}

/** Of the learning rate at the end, of that at its peak. */
const FINAL_SHARE = 0.1;

/** @throws Error where nobody said how long to train */
export function scheduleOf({ steps, tokens, batchTokens, lr, warmUp }: TrainingFlags): Schedule {
  const wanted = steps ?? (tokens === undefined ? undefined : Math.ceil(tokens / batchTokens));
  if (wanted === undefined) throw new Error("Say how long to train with --steps or --tokens.");
  return { peak: lr, final: FINAL_SHARE * lr, warmUp, steps: wanted };
}

/** The options that the numbers depend on, by their names. */
export function optionsIdentity(flags: TrainingFlags) {
  const { rank, alpha, batchTokens, microTokens, seed } = flags;
  const { peak, warmUp, steps } = scheduleOf(flags);
  return {
    "--rank": rank,
    "--alpha": alpha,
    "--lr": peak,
    "--warm-up": warmUp,
    "--steps": steps,
    "--batch-tokens": batchTokens,
    "--micro-tokens": microTokens,
    "--seed": seed,
  };
}

/** What suits LoRA on a few thousand tokens a step. */
export const ADAMW: AdamWSettings = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };
export const CLIP = 1;
