import { z } from "zod";
import { labelsSchema } from "../datasets/conversation.ts";
import type { FirstQuestion } from "../datasets/first-questions.ts";
import { unitHash } from "../unit-hash.ts";
import type { Ask } from "./asks.ts";

/** A question, and what the answers to it shall be: one at least, which replies take in turn. */
export type Asked = { question: FirstQuestion; asks: readonly [Ask, ...Ask[]] };

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

/**
 * The places of replies to a question, and what each is asked to be.
 *
 * @param replies under each of its label lines
 */
export function placesOf({ question, asks }: Asked, replies: number): { place: Place; ask: Ask }[] {
  const [first] = asks;
  return Array.from({ length: replies * asks.length }, (_, sample) => ({
    place: { prompt: question.id, sample },
    ask: asks[sample % asks.length] ?? first,
  }));
}
