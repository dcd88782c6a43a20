import {
  attributeMatchSchema,
  matchBodySchema,
  matchedAttributeSchema,
  measuredAttributesSchema,
  scoreBodySchema,
  scoreListSchema,
  textStatisticsSchema,
} from "../api/attributes.ts";
import type { ErrorCode } from "../wire/errors.ts";
import type { Operation } from "./operation.ts";
import { describeFields, named } from "./schemas.ts";

named("ScoreRequest", scoreBodySchema, "Give either `answer` or `answers`.");
named("ScoreList", scoreListSchema);
named("MeasuredAttributes", measuredAttributesSchema);
named("MatchedAttribute", matchedAttributeSchema);
named("TextStatistics", textStatisticsSchema);
named("MatchRequest", matchBodySchema);
named("AttributeMatch", attributeMatchSchema, "`steer` can stand in a chat request as it is.");
describeFields(scoreBodySchema, {
  messages: "What was answered, the oldest first; without it the answers answer nothing.",
  answers: "Up to 16 at once.",
  model: "Whose profile says what levels mean; the server's main model where it is left out.",
});
describeFields(matchBodySchema, { example: "An answer as it should be.", prompt: "What it answers." });

const SCORING: readonly ErrorCode[] = [
  "context_length_exceeded",
  "model_not_found",
  "budget_exceeded",
  "queue_full",
  "worker_unavailable",
  "deadline_exceeded",
];

const rainbow = "A rainbow is sunlight, split into its colours by drops of rain.";

export const attributeOperations: Operation[] = [
  {
    id: "scoreAnswers",
    method: "post",
    path: "/v1/attributes/score",
    room: "Attributes",
    summary: "Measure finished answers",
    access: "attributes",
    body: {
      schema: scoreBodySchema,
      examples: {
        answer: {
          summary: "One answer",
          value: { messages: [{ role: "user", content: "What is a rainbow?" }], answer: rainbow },
        },
      },
    },
    answers: { 200: { description: "What was measured of each answer.", json: scoreListSchema } },
    errors: SCORING,
  },
  {
    id: "matchExample",
    method: "post",
    path: "/v1/attributes/match",
    room: "Attributes",
    summary: "Find the levels that give such an answer",
    access: "attributes",
    body: {
      schema: matchBodySchema,
      examples: {
        example: { summary: "An example answer", value: { example: rainbow, prompt: "What is a rainbow?" } },
      },
    },
    answers: { 200: { description: "What to ask for.", json: attributeMatchSchema } },
    errors: SCORING,
  },
];
