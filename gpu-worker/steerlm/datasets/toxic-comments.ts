import { z } from "zod";
import { conversationOf, type Format, has, rowFormat } from "./reader.ts";

const countSchema = z.coerce.number({ error: "must be a count" }).int({ error: "must be a count" }).min(0);

const davidsonSchema = z
  .object({
    tweet: z.string(),
    hate_speech: countSchema,
    offensive_language: countSchema,
    neither: countSchema,
  })
  .refine((row) => row.hate_speech + row.offensive_language + row.neither > 0, { error: "nobody judged it" });

/** What a judgement of Davidson's annotators is worth as a label of toxicity. */
const HATE = 4;
const OFFENSIVE = 2;

/** A comment stands as an answer to nothing: one assistant turn, for the attribute model only. */
const comment = (source: string, text: string, toxicity: number) => [
  conversationOf(source, [{ role: "assistant", text, labels: { toxicity } }]),
];

export const davidson: Format = rowFormat(
  {
    name: "davidson",
    holds: "Davidson's tweets: tweet, counts of hate_speech, offensive_language, neither",
    matches: (row) => has(row, "tweet", "hate_speech", "offensive_language", "neither"),
  },
  davidsonSchema,
  ({ tweet, hate_speech: hate, offensive_language: offensive, neither }) =>
    comment("davidson", tweet, (hate * HATE + offensive * OFFENSIVE) / (hate + offensive + neither)),
);

const surgeSchema = z.object({
  text: z.string(),
  is_toxic: z.literal(["Toxic", "Not Toxic"], { error: "must be Toxic or Not Toxic" }),
});

export const surge: Format = rowFormat(
  {
    name: "surge",
    holds: "Surge's comments: text, is_toxic",
    matches: (row) => has(row, "text", "is_toxic"),
  },
  surgeSchema,
  ({ text, is_toxic }) => comment("surge", text, is_toxic === "Toxic" ? 4 : 0),
);
