import { z } from "zod";
import {
  choiceCountSchema,
  deadlineSchema,
  messageSchema,
  perChoice,
  samplingSchema,
  usageSchema,
} from "../api/chat.ts";
import { moderationSchema } from "../api/moderation.ts";
import { type EffectiveSteering, effectiveSteeringSchema } from "../steering.ts";

/** Where the edge sends a generation, and where it cancels one. */
export const GENERATIONS_PATH = "/v1/generations";
export const WORKER_MODELS_PATH = "/v1/models";
export const cancelPath = (generation: string) => `${GENERATIONS_PATH}/${generation}/cancel`;

const GENERATION_ID = /^gen_[0-9A-Za-z]{8,64}$/;

/** The signed body of `POST /v1/generations`: a conversation with its steering resolved, and how to render the answer. */
export const generateRequestSchema = z
  .strictObject({
    generation: z.string().regex(GENERATION_ID),
    /** How the answer is rendered: OpenAI's chat completions, OpenAI's Responses, or the AI SDK's UI message stream. */
    dialect: z.enum(["openai", "responses", "ui-message"]),
    model: z.string(),
    messages: z.array(messageSchema).min(1),
    /** How every choice is steered, unless `fan_out` says it of each. */
    steering: effectiveSteeringSchema,
    /** Answers to give; 1 where it is left out. */
    n: choiceCountSchema.optional(),
    /** The steering of each choice, which then echoes its own. */
    fan_out: perChoice(effectiveSteeringSchema).optional(),
    sampling: samplingSchema,
    /** Lower is begun earlier; 0 where it is left out. */
    priority: z.int().min(-100).max(100).optional(),
    /** OpenAI's, as the answer echoes it. */
    service_tier: z.enum(["default", "flex"]).optional(),
    /** Milliseconds, from the worker's receipt on, in which the answer has to be finished. */
    deadline_ms: deadlineSchema.optional(),
    /** Whether each choice says, as `steer.measured`, what was measured of it. */
    measure: z.boolean().optional(),
    /** What the worker does about choices that are too toxic: none is written before that is known where it blocks them. */
    moderation: moderationSchema.optional(),
    stream: z.boolean(),
    /** OpenAI's `stream_options.include_usage`; of the dialect `openai` only, the others always say it. */
    include_usage: z.boolean(),
    /** What an answer of the dialect `responses` repeats of its request. */
    echo: z.record(z.string(), z.unknown()).optional(),
  })
  .refine(({ dialect, n = 1, fan_out }) => dialect === "openai" || (fan_out?.length ?? n) === 1, {
    error: "only the dialect openai has several choices",
    path: ["n"],
  })
  .refine(({ dialect, stream }) => dialect !== "ui-message" || stream, {
    error: "the dialect ui-message is always streamed",
    path: ["stream"],
  });
export type GenerateRequest = z.infer<typeof generateRequestSchema>;

/** How each choice of a request is steered. */
export function choicesOf({ steering, n = 1, fan_out }: GenerateRequest): EffectiveSteering[] {
  return fan_out ?? Array.from({ length: n }, () => steering);
}

/**
 * Headers of an admitted generation. Prompt tokens are known at admission; completion tokens only on an answer without
 * streaming, where they are the exact count.
 */
export const PROMPT_TOKENS_HEADER = "attune-prompt-tokens";
export const COMPLETION_TOKENS_HEADER = "attune-completion-tokens";

export const generationStateSchema = z.enum(["queued", "running", "completed", "cancelled", "failed"]);
export type GenerationState = z.infer<typeof generationStateSchema>;

/** The answer to a cancel: how the generation ended and what it really used. */
export const generationReportSchema = z.object({
  id: z.string(),
  state: generationStateSchema,
  usage: usageSchema,
});
export type GenerationReport = z.infer<typeof generationReportSchema>;
