import { z } from "zod";
import { steeringEchoSchema, tokenLogprobSchema } from "./chat-answers.ts";

const statusSchema = z.enum(["in_progress", "completed", "incomplete", "failed"]);

const outputTextSchema = z.object({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.array(z.never()),
  logprobs: z.array(tokenLogprobSchema),
});

/** The answer's one message. */
const outputMessageSchema = z.object({
  id: z.string(),
  type: z.literal("message"),
  role: z.literal("assistant"),
  status: statusSchema,
  content: z.array(outputTextSchema),
});

/** The answer of `POST /v1/responses`: OpenAI's response object with `steer`. */
export const responseObjectSchema = z.looseObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int().describe("Unix seconds."),
  status: statusSchema,
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.object({ reason: z.enum(["max_output_tokens", "content_filter"]) }).nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  metadata: z.record(z.string(), z.string()),
  model: z.string(),
  output: z.array(outputMessageSchema),
  temperature: z.number(),
  top_p: z.number(),
  service_tier: z.enum(["default", "flex"]).optional(),
  steer: steeringEchoSchema.optional(),
  usage: z
    .object({
      input_tokens: z.int(),
      input_tokens_details: z.object({ cached_tokens: z.int() }),
      output_tokens: z.int(),
      output_tokens_details: z.object({ reasoning_tokens: z.int() }),
      total_tokens: z.int(),
    })
    .nullable(),
});

const sequence_number = z.int();
const place = { item_id: z.string(), output_index: z.int(), content_index: z.int() };
const logprobs = z.array(tokenLogprobSchema);

/** The data of an event of a streamed response; the event has the name of its `type`. */
export const responseEventSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.enum([
      "response.created",
      "response.in_progress",
      "response.completed",
      "response.incomplete",
      "response.failed",
    ]),
    sequence_number,
    response: responseObjectSchema,
  }),
  z.object({
    type: z.enum(["response.output_item.added", "response.output_item.done"]),
    sequence_number,
    output_index: z.int(),
    item: outputMessageSchema,
  }),
  z.object({
    type: z.enum(["response.content_part.added", "response.content_part.done"]),
    sequence_number,
    ...place,
    part: outputTextSchema,
  }),
  z.object({
    type: z.literal("response.output_text.delta"),
    sequence_number,
    ...place,
    delta: z.string(),
    logprobs,
  }),
  z.object({ type: z.literal("response.output_text.done"), sequence_number, ...place, text: z.string(), logprobs }),
]);
