import type { Attribute, SteeringProfile } from "../../../schema/attributes.ts";
import type { Precision } from "../../graph/precision.ts";
import type { ReadingFlags } from "../reading-options.ts";
import { optionsIdentity, type TrainingFlags } from "../training/training-options.ts";

/** What the command line says. */
export type SftFlags = ReadingFlags &
  TrainingFlags & {
    precision: Precision;
    maxReply: number;
    maxPrompt: number;
    balance: "on" | "off";
    focus?: Partial<Record<Attribute, number>>;
    keep: Partial<Record<Attribute, number>>;
    dropAll: number;
    contrast: number;
    sentenceEnd: number;
    start?: string;
    profile?: string;
    template: SteeringProfile["template"];
    shuffleLabels: boolean;
  };

/** The options that the numbers depend on, beside what the files hold. */
export const sftIdentity = (flags: SftFlags) => ({
  ...optionsIdentity(flags),
  "--balance": flags.balance,
  "--focus": flags.focus === undefined ? null : JSON.stringify(flags.focus),
  "--keep": JSON.stringify(flags.keep),
  "--drop-all": flags.dropAll,
  "--contrast": flags.contrast,
  "--sentence-end": flags.sentenceEnd,
  "--max-reply": flags.maxReply,
  "--max-prompt": flags.maxPrompt,
  "--shuffle-labels": flags.shuffleLabels,
});
