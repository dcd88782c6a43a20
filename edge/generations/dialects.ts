import { RESPONSES } from "../responses/dialect.ts";
import { UI_MESSAGES } from "../ui-messages/dialect.ts";
import { CHAT_COMPLETIONS, type Dialect } from "./dialect.ts";

/** All dialects, by the name that a request to the worker has for each. */
export const DIALECTS: Record<Dialect["name"], Dialect> = {
  openai: CHAT_COMPLETIONS,
  responses: RESPONSES,
  "ui-message": UI_MESSAGES,
};
