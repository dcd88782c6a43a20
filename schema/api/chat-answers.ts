import { z } from "zod";
import { effectiveSteeringSchema } from "../steering.ts";
import { measuredAttributesSchema } from "./attributes.ts";
import { usageSchema } from "./chat.ts";
import { verdictSchema } from "./moderation.ts";

/**
 * How an answer was steered, with `steer.measure` what it became, and what the key's moderation says of it; `null` where that could not be
 * measured.
 */
export const steeringEchoSchema = effectiveSteeringSchema.extend({
  measured: measuredAttributesSchema.nullish(),
  moderation: verdictSchema.nullish(),
});

const tokenFields = {
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullable().describe("`null` for a control token."),
};
export const tokenLogprobSchema = z.object({ ...tokenFields, top_logprobs: z.array(z.object(tokenFields)) });
const choiceLogprobsSchema = z.object({ content: z.array(tokenLogprobSchema), refusal: z.null() });

const finishReasonSchema = z
  .enum(["stop", "length", "content_filter"])
  .describe(
    "`length`: `max_tokens`, the context or `deadline_ms` ended it. `content_filter`: the key's moderation withholds it, so it is empty.",
  );

const answerFields = {
  id: z.string(),
  created: z.int().describe("Unix seconds."),
  model: z.string(),
  service_tier: z.enum(["default", "flex"]).optional(),
  steer: steeringEchoSchema.optional().describe("Left out with `steer.fan_out`, where each choice has its own."),
};

/** The answer of `POST /v1/chat/completions` without streaming. */
export const chatCompletionSchema = z.object({
  ...answerFields,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.object({
      index: z.int(),
      message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
      logprobs: choiceLogprobsSchema.nullable(),
      finish_reason: finishReasonSchema,
      steer: steeringEchoSchema.optional(),
    }),
  ),
  usage: usageSchema,
});

/** The data of an event of a streamed chat completion; each is about one choice. */
export const chatCompletionChunkSchema = z.object({
  ...answerFields,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(
    z.object({
      index: z.int(),
      delta: z.object({ role: z.literal("assistant").optional(), content: z.string().optional() }),
      logprobs: choiceLogprobsSchema.nullish(),
      finish_reason: finishReasonSchema.nullable(),
      steer: steeringEchoSchema.optional(),
    }),
  ),
  usage: usageSchema.nullish().describe("In the last chunk, with `stream_options.include_usage`."),
});
