import { z } from "zod";
import { chatRequestSchema } from "../api/chat.ts";
import { limitsAnswerSchema, limitsCheckAnswerSchema, tokensCheckSchema } from "../api/limits.ts";
import type { Operation } from "./operation.ts";
import { describeFields, named } from "./schemas.ts";

named("Limits", limitsAnswerSchema);
named("LimitsCheck", limitsCheckAnswerSchema);
named("TokensCheckRequest", tokensCheckSchema);
describeFields(tokensCheckSchema, { tokens: "Of prompt and answer together." });

export const limitOperations: Operation[] = [
  {
    id: "getLimits",
    method: "get",
    path: "/v1/limits",
    room: "Limits",
    summary: "Read how the limits stand",
    access: "any",
    answers: { 200: { description: "Each limit of key, project and end user.", json: limitsAnswerSchema } },
  },
  {
    id: "checkLimits",
    method: "post",
    path: "/v1/limits/check",
    room: "Limits",
    summary: "Ask what the limits would say of a request",
    description:
      "Takes a chat request or a number of tokens; nothing is reserved, generated or charged but the call itself.",
    access: "chat",
    body: {
      schema: z.union([tokensCheckSchema, chatRequestSchema]),
      examples: {
        tokens: { summary: "So many tokens", value: { tokens: 2000 } },
        chat: {
          summary: "A chat request",
          value: { model: "smollm2-135m", messages: [{ role: "user", content: "What is a rainbow?" }] },
        },
      },
    },
    answers: { 200: { description: "What they would say.", json: limitsCheckAnswerSchema } },
    errors: [
      "unsupported_parameter",
      "context_length_exceeded",
      "model_not_found",
      "preset_not_found",
      "worker_unavailable",
    ],
  },
];
