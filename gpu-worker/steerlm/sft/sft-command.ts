import { Command, Option } from "commander";
import type { SteeringProfile } from "../../../schema/attributes.ts";
import type { Precision } from "../../graph/precision.ts";
import { int8Layout } from "../../runtime/int8-layout.ts";
import { perAttribute, probability, share, withReadingOptions } from "../reading-options.ts";
import { nonNegative, positive, positiveCount, withTrainingOptions } from "../training/training-options.ts";
import { runSft } from "./sft.ts";
import type { SftFlags } from "./sft-flags.ts";

/** Words are what is asked for most (DESIGN §5). */
const KEEP = "verbosity=0.9,others=0.5";

const switchOption = (flags: string, description: string) =>
  new Option(flags, description).choices(["on", "off"]).default("on");

/** `attune sft …`: attribute-conditioned supervised fine-tuning. */
export function sftCommand(): Command {
  const command = withReadingOptions(new Command("sft").description("train a LoRA whose answers obey the label line"));
  const number = (flags: string, description: string, fallback: number, parse: (text: string) => number) =>
    new Option(flags, description).default(fallback).argParser(parse);
  return withTrainingOptions(command, { rank: 32, alpha: 64, lr: 1e-3, batchTokens: 2560, microTokens: 1024 })
    .addOption(
      new Option("--precision <kind>", "what the frozen weights are multiplied in, forwards and backwards")
        .choices(["int8", "fp32"] satisfies Precision[])
        .default(int8Layout() === "int8-channels" ? "int8" : "fp32"),
    )
    .addOption(number("--max-reply <tokens>", "longer replies are cut, without an end", 256, positiveCount))
    .addOption(number("--max-prompt <tokens>", "replies to longer prompts are left out", 256, positiveCount))
    .addOption(switchOption("--balance <on|off>", "draw every level alike, or every reply"))
    .addOption(
      new Option(
        "--focus <weights>",
        "how often each attribute is balanced and contrasted, such as verbosity=3,others=1; all alike without it",
      ).argParser(perAttribute(share)),
    )
    .addOption(
      new Option("--keep <shares>", "how likely labels beside the focus stay")
        .default(perAttribute(probability)(KEEP), KEEP)
        .argParser(perAttribute(probability)),
    )
    .addOption(number("--drop-all <share>", "how likely a reply loses all labels", 0.08, probability))
    .addOption(number("--contrast <weight>", "of telling label lines apart, 0 for none", 0.3, nonNegative))
    .addOption(number("--sentence-end <weight>", "of the token after a sentence's end", 4, positive))
    .addOption(new Option("--start <directory>", "LoRA to begin with, such as one trained with other options or data"))
    .addOption(
      new Option(
        "--template <how>",
        "whether the label line is names and levels in a turn of its own, or an instruction in words",
      )
        .choices(["chatml", "words"] satisfies SteeringProfile["template"][])
        .default("chatml"),
    )
    .addOption(
      new Option("--profile <file>", "steering profile in place of one made from the data").conflicts("template"),
    )
    .option("--shuffle-labels", "deal the labels out anew, as a control that must learn no steering", false)
    .action((files: string[], flags: SftFlags) => runSft(files, flags));
}
