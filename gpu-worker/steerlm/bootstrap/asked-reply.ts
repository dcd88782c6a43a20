import { z } from "zod";
import type { AttributeLevels } from "../../../schema/attributes.ts";
import { labelsSchema } from "../datasets/conversation.ts";
import type { FirstQuestion } from "../datasets/first-questions.ts";
import { unitHash } from "../unit-hash.ts";

/** A question, and what the answers to it shall be. */
export type Asked = { question: FirstQuestion; levels: AttributeLevels };

const placeSchema = z.strictObject({
  /** Id of the question. */
  prompt: z.string(),
  /** 0 on: replies to one question. */
  sample: z.int().nonnegative(),
});
/** Which of the replies to which question. */
export type Place = z.infer<typeof placeSchema>;

/** One line of replies.jsonl. */
export const replySchema = placeSchema.extend({
  text: z.string(),
  /** `length`: it was cut at the most tokens a reply may have. */
  finish: z.enum(["stop", "length"]),
  tokens: z.int().nonnegative(),
});
export type Reply = z.infer<typeof replySchema>;

/** One line of labels.jsonl: what was read off a reply. */
export const readSchema = placeSchema.extend({ labels: labelsSchema });

export const placeKey = ({ prompt, sample }: Place): string => `${prompt}/${sample}`;

/** A seed that depends on the place alone, so that runs repeat and may grow. */
export const replySeed = (place: Place, seed: string): number =>
  Math.floor(unitHash(`${seed}:reply:${placeKey(place)}`) * 2 ** 32);
