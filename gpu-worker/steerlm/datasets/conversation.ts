import { z } from "zod";
import { ATTRIBUTES, type Attribute, attributeLevelsSchema } from "../../../schema/attributes.ts";

const labelSchema = z.number().min(0).max(4);

export const labelsSchema = z.partialRecord(z.enum(ATTRIBUTES), labelSchema);

const turnSchema = z.strictObject({
  role: z.enum(["user", "assistant"]),
  text: z.string(),
  /** The source's name of the message: the same in every conversation that the message is part of. */
  id: z.string().optional(),
  /** 0–4 for each attribute that somebody judged; of an annotated answer what is trained on. */
  labels: labelsSchema.optional(),
  /** What an attribute prediction model read off an annotated answer, and what was measured of it. */
  predicted: labelsSchema.optional(),
  /** What somebody judged of an annotated answer, whose labels may be others. */
  human: labelsSchema.optional(),
  /** What a model was asked to make of an answer that it generated; what became of it, the labels say. */
  requested: attributeLevelsSchema.optional(),
  /** Of a generated answer that reached the most tokens it might have: its end is missing. */
  cut: z.literal(true).optional(),
  /** Place among the answers to the same turn, 0 the preferred; equal where nobody preferred one. */
  rank: z.int().min(0).optional(),
});
export type Turn = z.infer<typeof turnSchema>;

/** One conversation, whatever format it came in. Its own format, one to a line, is `attune`. */
export const conversationSchema = z.strictObject({
  id: z.string().min(1),
  /** Name of the format it was read from. */
  source: z.string().min(1),
  /** What a split keeps together; without it, the first turn. */
  tree: z.string().min(1).optional(),
  system: z.string().optional(),
  /** The same for two conversations whose last turns were compared. */
  pair: z.string().min(1).optional(),
  /** By how much the preferred one of the pair was preferred, as the source counts it: 1–3 in HelpSteer2. */
  strength: z.number().optional(),
  turns: z.array(turnSchema).min(1),
});
export type Conversation = z.infer<typeof conversationSchema>;

/** What a split keeps together: conversations with equal keys share a part, for they share their text. */
export const treeKey = ({ tree, turns }: Conversation): string => tree ?? (turns[0]?.text ?? "").trim();

/** A question and its answer, of most formats the whole row. */
export function exchange(prompt: string, answer: string, labels: Turn["labels"] = {}): Turn[] {
  const assistant: Turn = { role: "assistant", text: answer };
  if (ATTRIBUTES.some((name: Attribute) => labels[name] !== undefined)) assistant.labels = labels;
  return [{ role: "user", text: prompt }, assistant];
}

/** An instruction with the text it is about. */
export const withInput = (instruction: string, input: string | null | undefined): string =>
  (input ?? "").trim() === "" ? instruction : `${instruction}\n\n${input}`;
