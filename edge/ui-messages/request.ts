import type { ChatRequest } from "../../schema/api/chat.ts";
import { UNSUPPORTED_UI_FIELDS, uiChatRequestSchema } from "../../schema/api/ui-messages.ts";
import { parse } from "../body.ts";
import { checkTogether, checkUnsupported, refuseFanOut } from "../generations/request.ts";

/**
 * Reads the body of `POST /v1/chat/ui` as the chat request that it amounts to, which is always streamed.
 *
 * @throws AttuneError `invalid_request`, `unsupported_parameter`
 */
export function readUiRequest(body: unknown): { chat: ChatRequest } {
  checkUnsupported(body, UNSUPPORTED_UI_FIELDS);
  const chat: ChatRequest = { ...parse(uiChatRequestSchema, body), stream: true };
  refuseFanOut(chat);
  checkTogether(chat);
  return { chat };
}
