import { z } from "zod";
import { chatRequestSchema, type Message, messageSchema, samplingSchema } from "./chat.ts";

const TEXT_ERROR = "only input_text and output_text parts are supported";
const textPartSchema = z.object({
  type: z.enum(["input_text", "output_text"], { error: TEXT_ERROR }),
  text: z.string(),
});

/** A turn of the conversation, also as it stands in an earlier answer's `output`. */
export const messageItemSchema = z
  .object({
    type: z.literal("message", { error: "only items of type message are supported" }).optional(),
    role: messageSchema.shape.role,
    content: z
      .union([z.string(), z.array(textPartSchema)], { error: `must be a string or a list of parts; ${TEXT_ERROR}` })
      .transform((content) => (typeof content === "string" ? content : content.map(({ text }) => text).join(""))),
    steer: messageSchema.shape.steer,
  })
  .transform(({ type: _, ...message }): Message => message);

/** A text is the user's only turn. */
const inputSchema = z.preprocess(
  (input) => (typeof input === "string" ? [{ role: "user", content: input }] : input),
  z
    .array(messageItemSchema, { error: "must be a string or a list of messages" })
    .min(1, { error: "must hold at least one message" })
    .max(1024),
);

/** How OpenAI's word for an answer's length reads as a level of the attribute verbosity. */
export const VERBOSITY_LEVELS = { low: 1, medium: 2, high: 3 } as const;
const verbositySchema = z.enum(["low", "medium", "high"], { error: "must be low, medium or high" });

const formatSchema = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object") }),
    z.object({
      type: z.literal("json_schema"),
      name: z.string().min(1).max(64).optional(),
      schema: z.record(z.string(), z.unknown()),
    }),
  ],
  { error: "must have the type text, json_object or json_schema" },
);

const MAX_METADATA = 16;
const metadataSchema = z
  .record(z.string().max(64), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= MAX_METADATA, {
    error: `must have at most ${MAX_METADATA} entries`,
  });

/** What `include` may name. */
export const LOGPROBS_INCLUDE = "message.output_text.logprobs";

/**
 * The body of `POST /v1/responses`: the part of OpenAI's that is about text, plus `steer` and vLLM's sampling as in a chat request.
 * Unknown fields are ignored.
 */
export const responsesRequestSchema = chatRequestSchema
  .omit({
    messages: true,
    n: true,
    stream_options: true,
    logprobs: true,
    max_tokens: true,
    max_completion_tokens: true,
    response_format: true,
  })
  .extend({
    input: inputSchema,
    instructions: z.string().nullish(),
    max_output_tokens: samplingSchema.shape.max_tokens.unwrap().nullish(),
    text: z.object({ format: formatSchema.nullish(), verbosity: verbositySchema.nullish() }).nullish(),
    include: z
      .array(z.literal(LOGPROBS_INCLUDE, { error: `may only name ${LOGPROBS_INCLUDE}` }))
      .max(1)
      .nullish(),
    metadata: metadataSchema.nullish(),
  });
export type ResponsesRequest = z.infer<typeof responsesRequestSchema>;

const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;

/** OpenAI's fields that would change the answer and are not implemented, each with the values that ask for nothing. */
export const UNSUPPORTED_RESPONSES_FIELDS: Record<string, (value: unknown) => boolean> = {
  tools: isEmpty,
  tool_choice: (value) => value === "none" || value === "auto",
  previous_response_id: () => false,
  conversation: () => false,
  prompt: () => false,
  background: (value) => value === false,
  reasoning: (value) =>
    typeof value === "object" && value !== null && Object.values(value).every((entry) => entry === null),
  truncation: (value) => value === "disabled",
  n: (value) => value === 1,
};
