import { z } from "zod";
import { ATTRIBUTES, type AttributeLevels, attributeLevelsSchema, strengthSchema } from "../../../schema/attributes.ts";

/** Who answers: the adapter, the plain model unsteered, the plain model instructed in words, or an adapter trained on shuffled labels. */
export const SYSTEMS = ["adapter", "base", "words", "control"] as const;
export const systemSchema = z.enum(SYSTEMS);
export type System = z.infer<typeof systemSchema>;

/** One answer that is asked for. Two with the same fields are the same answer. */
export const questionSchema = z.strictObject({
  system: systemSchema,
  strength: strengthSchema,
  /** The whole label line. */
  levels: attributeLevelsSchema,
  /** What a strength above 1 steers away from: other levels, or without any the model without a label line. */
  against: attributeLevelsSchema,
  /** Id of the prompt. */
  prompt: z.string(),
  /** 0 on: answers to the same prompt under the same label line. */
  sample: z.int().nonnegative(),
});
export type Question = z.infer<typeof questionSchema>;

/** One line of answers.jsonl. */
export const steeredAnswerSchema = questionSchema.extend({
  text: z.string(),
  /** `length`: it was cut at the most tokens an answer may have. */
  finish: z.enum(["stop", "length"]),
  tokens: z.int().nonnegative(),
});
export type SteeredAnswer = z.infer<typeof steeredAnswerSchema>;

/** What sets a question apart from all others, whatever the order of its levels. */
export const questionKey = ({ system, strength, levels, against, prompt, sample }: Question): string =>
  JSON.stringify([system, strength, levelsKey(levels), levelsKey(against), prompt, sample]);

/** `complexity:3,verbosity:2`, in the order of the attributes. */
const levelsKey = (levels: AttributeLevels): string =>
  ATTRIBUTES.flatMap((name) => (levels[name] === undefined ? [] : [`${name}:${levels[name]}`])).join(",");
