import { z } from "zod";
import { chatCompletionChunkSchema, chatCompletionSchema } from "../api/chat-answers.ts";
import { generationSchema } from "../api/generations.ts";
import { responseEventSchema, responseObjectSchema } from "../api/responses-answers.ts";
import type { ErrorCode } from "../wire/errors.ts";
import type { Operation } from "./operation.ts";
import { describeFields, named } from "./schemas.ts";

named("Generation", generationSchema, "What became of a generation.");
describeFields(generationSchema, {
  steer: "How it was steered; `null` where each choice was steered by itself, or where nothing of the answer was kept.",
  usage: "So far, or in the end, by the worker's own count; `null` where nobody knows.",
  finished_at: "Unix seconds.",
  error: "What it failed with.",
  kept: "What is kept of the answer; `null`: nothing.",
});

/** An answer that failed is kept as it failed. */
const REPLAYED: readonly ErrorCode[] = [
  "invalid_request",
  "not_found",
  "not_kept",
  "generation_cancelled",
  "generation_failed",
  "worker_unavailable",
  "deadline_exceeded",
];

const ID = { "x-generation-id": "The generation's id." };

export const generationOperations: Operation[] = [
  {
    id: "getGeneration",
    method: "get",
    path: "/v1/generations/{id}",
    room: "Generations",
    summary: "Read a generation's state and usage",
    access: "chat",
    answers: { 200: { description: "The generation.", json: generationSchema } },
    errors: ["not_found"],
  },
  {
    id: "resumeGeneration",
    method: "get",
    path: "/v1/generations/{id}/events",
    room: "Generations",
    summary: "Read a streamed answer again, or go on with it",
    description:
      "For requests with `resumable`, `store` or an `Idempotency-Key`. The events are those that were sent, byte for byte.",
    access: "chat",
    query: z.object({
      after: z
        .string()
        .regex(/^\d{1,15}$/)
        .optional()
        .meta({ description: "Number of the last event that is there already, the second part of its id." }),
    }),
    headers: z.object({
      "last-event-id": z.string().optional().meta({ description: "The id of that event, as browsers send it." }),
    }),
    answers: {
      200: {
        description: "The events after it, to the end.",
        headers: ID,
        events: {
          data: z.union([chatCompletionChunkSchema, responseEventSchema, z.looseObject({ type: z.string() })]),
          description: "In the dialect that was asked in.",
        },
      },
    },
    errors: REPLAYED,
  },
  {
    id: "readGeneration",
    method: "get",
    path: "/v1/generations/{id}/content",
    room: "Generations",
    summary: "Read a whole answer again",
    description: "For requests with `store` or an `Idempotency-Key`; while it is being made, waits for it.",
    access: "chat",
    answers: {
      200: {
        description: "The answer, in the dialect that was asked in.",
        headers: ID,
        json: z.union([chatCompletionSchema, responseObjectSchema]),
      },
    },
    errors: REPLAYED,
  },
  {
    id: "cancelGeneration",
    method: "post",
    path: "/v1/generations/{id}/cancel",
    room: "Generations",
    summary: "Cancel a generation",
    access: "chat",
    answers: { 200: { description: "The generation as it is now.", json: generationSchema } },
    errors: ["not_found"],
  },
  {
    id: "deleteGeneration",
    method: "delete",
    path: "/v1/generations/{id}",
    room: "Generations",
    summary: "Delete what is kept of an answer",
    access: "chat",
    answers: { 200: { description: "The generation, without its answer.", json: generationSchema } },
    errors: ["not_found"],
  },
];
