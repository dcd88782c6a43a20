import { z } from "zod";
import { messageSchema, samplingSchema, usageSchema } from "../api/chat.ts";
import { effectiveSteeringSchema } from "../steering.ts";

/** Where the edge sends a generation, and where it cancels one. */
export const GENERATIONS_PATH = "/v1/generations";
export const WORKER_MODELS_PATH = "/v1/models";
export const cancelPath = (generation: string) => `${GENERATIONS_PATH}/${generation}/cancel`;

const GENERATION_ID = /^gen_[0-9A-Za-z]{8,64}$/;

/** The signed body of `POST /v1/generations`: a conversation with its steering resolved, and how to render the answer. */
export const generateRequestSchema = z.strictObject({
  generation: z.string().regex(GENERATION_ID),
  dialect: z.literal("openai"),
  model: z.string(),
  messages: z.array(messageSchema).min(1),
  steering: effectiveSteeringSchema,
  sampling: samplingSchema,
  stream: z.boolean(),
  /** OpenAI's `stream_options.include_usage`. */
  include_usage: z.boolean(),
});
export type GenerateRequest = z.infer<typeof generateRequestSchema>;

/**
 * Headers of an admitted generation. Prompt tokens are known at admission; completion tokens only on an answer without
 * streaming, where they are the exact count.
 */
export const PROMPT_TOKENS_HEADER = "attune-prompt-tokens";
export const COMPLETION_TOKENS_HEADER = "attune-completion-tokens";

const generationStateSchema = z.enum(["queued", "running", "completed", "cancelled", "failed"]);
export type GenerationState = z.infer<typeof generationStateSchema>;

/** The answer to a cancel: how the generation ended and what it really used. */
export const generationReportSchema = z.object({
  id: z.string(),
  state: generationStateSchema,
  usage: usageSchema,
});
export type GenerationReport = z.infer<typeof generationReportSchema>;
