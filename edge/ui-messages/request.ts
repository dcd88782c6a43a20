import type { ChatRequest } from "../../schema/api/chat.ts";
import { UNSUPPORTED_UI_FIELDS, uiChatRequestSchema } from "../../schema/api/ui-messages.ts";
import { invalidRequest } from "../../schema/wire/errors.ts";
import { checkTogether, checkUnsupported, refuseFanOut } from "../generations/request.ts";

/**
 * Reads the body of `POST /v1/chat/ui` as the chat request that it amounts to, which is always streamed.
 *
 * @throws AttuneError `invalid_request`, `unsupported_parameter`
 */
export function readUiRequest(body: unknown): { chat: ChatRequest } {
  checkUnsupported(body, UNSUPPORTED_UI_FIELDS);
  const parsed = uiChatRequestSchema.safeParse(body);
  if (!parsed.success) throw invalidRequest(parsed.error);
  const chat: ChatRequest = { ...parsed.data, stream: true };
  refuseFanOut(chat);
  checkTogether(chat);
  return { chat };
}
