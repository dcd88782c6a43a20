import { z } from "zod";
import { chatRequestSchema, messageSchema, usageSchema } from "../api/chat.ts";
import { chatCompletionChunkSchema, chatCompletionSchema, steeringEchoSchema } from "../api/chat-answers.ts";
import { messageItemSchema, responsesRequestSchema } from "../api/responses.ts";
import { responseEventSchema, responseObjectSchema } from "../api/responses-answers.ts";
import { uiChatRequestSchema } from "../api/ui-messages.ts";
import type { ErrorCode } from "../wire/errors.ts";
import type { Operation } from "./operation.ts";
import { describeFields, named } from "./schemas.ts";

named("ChatRequest", chatRequestSchema, "OpenAI's chat completion request, plus `steer` and vLLM's sampling.");
named("ResponseMessage", messageItemSchema);
// What the schema reads as a list of one may be a text.
const responsesBodySchema = responsesRequestSchema.extend({
  input: z.union([z.string(), z.array(messageItemSchema).min(1).max(1024)]),
});
named("ResponsesRequest", responsesBodySchema, "OpenAI's Responses request about text, plus `steer`.");
named("Message", messageSchema);
named("Usage", usageSchema);
named(
  "UiChatRequest",
  uiChatRequestSchema,
  "What the AI SDK's `DefaultChatTransport` sends, with a chat request's fields.",
);
named("ChatCompletion", chatCompletionSchema);
named("ChatCompletionChunk", chatCompletionChunkSchema);
named("ResponseObject", responseObjectSchema);
named("ResponseEvent", responseEventSchema);
named("SteeringEcho", steeringEchoSchema, "What was really applied after request ∩ preset ∩ key bounds.");

describeFields(messageSchema, {
  content: "A text, or text parts.",
  steer: "Of an assistant's turn: the levels that it was generated under.",
});
const steerSchema = named("Steer", chatRequestSchema.shape.steer.unwrap().unwrap(), "What the caller steers by.");
describeFields(steerSchema, {
  attributes: "The levels to answer with.",
  fan_out: "An answer for each entry, steered by `attributes` with the entry's levels in their place.",
  strength: "Above 1 the answer follows the attributes more strongly, at the cost of a second row in the batch.",
  against: "What `strength` steers away from; without it, from the model without attributes.",
  calibrated:
    "The levels are what answers should be measured to be; what is asked for is up to the model's calibration.",
  measure: "The answer says what was measured of it.",
  preset: "The same as in `model`: `slug`, `slug:version` or `slug:alias`.",
  variables: "Values of the preset's variables.",
});
describeFields(chatRequestSchema, {
  model: "A served model, alone or with a preset: `smollm2-135m`, `smollm2-135m@tutor`, `smollm2-135m@tutor:3`.",
  messages: "The conversation, oldest first. `steer` of an assistant's turn are the levels it was generated under.",
  steer: "How the answer is to be.",
  n: "So many answers.",
  stream: "Server-sent events instead of one body.",
  store: "The answer can be read again for 30 days.",
  resumable: "The answer goes on without the client, which can come back for the rest of it within an hour.",
  service_tier: "`flex` waits behind the others.",
  deadline_ms: "How long the answer may take, in milliseconds, waiting included.",
  stream_options: "`include_usage`: the last chunk says what was used.",
  temperature: "0 always takes the most likely token; left out, what the preset or the model's publisher says.",
  top_p: "Tokens are drawn from the smallest set with this share of the probability.",
  top_k: "Tokens are drawn from so many of the most likely; 0 from all.",
  frequency_penalty: "Off the logit of a token for each time it was generated.",
  presence_penalty: "Off the logit of a token that was generated, once.",
  logprobs: "The answer has the log-probability of each token.",
  top_logprobs: "So many of the most likely tokens beside each.",
  seed: "The same seed gives the same answer.",
  max_tokens: "Longest answer, in tokens; 512 where nothing is said.",
  max_completion_tokens: "The same as `max_tokens`.",
  stop: "Texts that end the answer.",
  stop_token_ids: "Token ids that end the answer.",
  ignore_eos: "The model's own end does not end the answer.",
  min_tokens: "Nothing but `max_tokens` ends the answer before.",
  response_format: "JSON, of a schema where one is given. The answer can not be anything else.",
  logit_bias: "Added to the logits, by token id.",
  min_p: "Tokens less likely than this share of the most likely one's probability are not drawn.",
  repetition_penalty: "Divides the logits of tokens that are in prompt or answer.",
});

const GENERATING: readonly ErrorCode[] = [
  "unsupported_parameter",
  "context_length_exceeded",
  "content_filtered",
  "model_not_found",
  "preset_not_found",
  "generation_cancelled",
  "not_kept",
  "idempotency_mismatch",
  "budget_exceeded",
  "queue_full",
  "generation_failed",
  "worker_unavailable",
  "moderation_unavailable",
  "deadline_exceeded",
];

const STREAM =
  "Each event has an `id`, `generation:sequence:completion tokens so far`. Comments (`: hb`) come whenever nothing was sent for 250 ms.";

const headers = z.object({
  "idempotency-key": z
    .string()
    .regex(/^[\x20-\x7e]{1,255}$/)
    .optional()
    .meta({
      description: "The same request under the same key is answered once, and then with the same answer, for a day.",
    }),
});
const KEPT = {
  "x-generation-id": "The generation's id.",
  "idempotent-replayed": "`true` where this answer was given before.",
};

const messages = [{ role: "user", content: "What is a rainbow?" }];
const model = "smollm2-135m";

export const chatOperations: Operation[] = [
  {
    id: "createChatCompletion",
    method: "post",
    path: "/v1/chat/completions",
    room: "Chat",
    summary: "Answer a conversation",
    description: "OpenAI's chat completions. Closing the connection of a stream cancels the generation.",
    access: "chat",
    headers,
    body: {
      schema: chatRequestSchema,
      examples: {
        steered: {
          summary: "Short, simple and a little funny",
          value: { model, messages, max_tokens: 64, steer: { attributes: { verbosity: 1, complexity: 0, humor: 2 } } },
        },
        streamed: {
          summary: "As a stream, with usage",
          value: { model, messages, max_tokens: 64, stream: true, stream_options: { include_usage: true } },
        },
        fan_out: {
          summary: "One question, answered at two lengths",
          value: { model, messages, max_tokens: 64, steer: { fan_out: [{ verbosity: 0 }, { verbosity: 4 }] } },
        },
      },
    },
    answers: {
      200: {
        description: "The answer, whole or streamed, with what was applied in `steer`.",
        headers: KEPT,
        json: chatCompletionSchema,
        events: {
          data: chatCompletionChunkSchema,
          description: `With \`stream\`: \`data\` of each event is a ChatCompletionChunk, or an Error where the generation failed; \`data: [DONE]\` ends it. ${STREAM}`,
        },
      },
    },
    errors: GENERATING,
  },
  {
    id: "createResponse",
    method: "post",
    path: "/v1/responses",
    room: "Chat",
    summary: "Answer in OpenAI's Responses",
    access: "chat",
    headers,
    body: {
      schema: responsesBodySchema,
      examples: {
        text: {
          summary: "A question",
          value: { model, input: "What is a rainbow?", max_output_tokens: 64, text: { verbosity: "low" } },
        },
      },
    },
    answers: {
      200: {
        description: "OpenAI's response object, or its events, with `steer`.",
        headers: KEPT,
        json: responseObjectSchema,
        events: {
          data: responseEventSchema,
          description: `With \`stream\`: each event is a ResponseEvent, from \`response.created\` to \`response.completed\`, \`response.incomplete\` or \`response.failed\`. ${STREAM}`,
        },
      },
    },
    errors: GENERATING,
  },
  {
    id: "createUiMessage",
    method: "post",
    path: "/v1/chat/ui",
    room: "Chat",
    summary: "Answer as the AI SDK's UI message stream",
    access: "chat",
    headers,
    body: {
      schema: uiChatRequestSchema,
      examples: {
        question: {
          summary: "What useChat sends",
          value: {
            id: "chat-1",
            trigger: "submit-message",
            model,
            max_tokens: 64,
            messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "What is a rainbow?" }] }],
          },
        },
      },
    },
    answers: {
      200: {
        description: "Always a stream.",
        headers: { ...KEPT, "x-vercel-ai-ui-message-stream": "`v1`" },
        events: {
          data: z.looseObject({ type: z.string() }),
          description: `Parts \`start\`, \`text-start\`, \`text-delta\`, \`text-end\`, \`finish\` (with usage and steering as metadata) or \`error\`, then \`data: [DONE]\`. ${STREAM}`,
        },
      },
    },
    errors: GENERATING,
  },
];
