import { z } from "zod";
import {
  answerSchema,
  conversationSchema,
  MAX_SCORED,
  measuredAttributesSchema,
  textStatisticsSchema,
} from "../api/attributes.ts";

/** Where the edge has answers read. */
export const SCORE_PATH = "/v1/score";

/** The signed body of `POST /v1/score`: answers, each with the conversation that it answers. */
export const scoreRequestSchema = z.strictObject({
  /** Whose profile says what levels of measured attributes mean. */
  model: z.string(),
  items: z
    .array(z.strictObject({ messages: conversationSchema, answer: answerSchema }))
    .min(1)
    .max(MAX_SCORED),
});
export type ScoreRequest = z.infer<typeof scoreRequestSchema>;

/** The answer to it: what was measured of each item. */
export const scoreAnswerSchema = z.object({
  /** Whether an attribute prediction model read them; else only what rules count is there. */
  predicted: z.boolean(),
  data: z.array(z.object({ attributes: measuredAttributesSchema, statistics: textStatisticsSchema })),
});
export type ScoreAnswer = z.infer<typeof scoreAnswerSchema>;
export type Scored = ScoreAnswer["data"][number];
