import { sessionAnswerSchema, sessionCreateSchema } from "../api/sessions.ts";
import type { Operation } from "./operation.ts";
import { describeFields, named } from "./schemas.ts";

named("SessionRequest", sessionCreateSchema);
named("Session", sessionAnswerSchema, "`token` is the bearer of the page's requests.");
describeFields(sessionCreateSchema, {
  end_user: "Whoever sits before the page, as the page says.",
  preset: "What the session is limited to; its requests need not name it.",
});

export const sessionOperations: Operation[] = [
  {
    id: "openSession",
    method: "post",
    path: "/v1/sessions",
    room: "Sessions",
    summary: "Open a session for a web page",
    description: "Called by the page itself, whose `Origin` must be one of the publishable key's.",
    access: "publishable",
    body: {
      schema: sessionCreateSchema,
      examples: { user: { summary: "For a named visitor", value: { end_user: "visitor-7" } } },
    },
    answers: { 201: { description: "The session.", json: sessionAnswerSchema } },
    errors: ["preset_not_found"],
  },
];
