import type { ChatRequest } from "../../schema/api/chat.ts";
import {
  LOGPROBS_INCLUDE,
  type ResponsesRequest,
  responsesRequestSchema,
  UNSUPPORTED_RESPONSES_FIELDS,
  VERBOSITY_LEVELS,
} from "../../schema/api/responses.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { parse } from "../body.ts";
import { checkTogether, checkUnsupported, refuseFanOut, withPersona } from "../generations/request.ts";

/** `text.verbosity` is a level of the attribute, which `steer` may say more exactly. */
function steerOf({ steer, text }: ResponsesRequest): ChatRequest["steer"] {
  if (text?.verbosity == null) return steer;
  return { ...steer, attributes: { verbosity: VERBOSITY_LEVELS[text.verbosity], ...steer?.attributes } };
}

/** The format under the name that it has in a chat request. */
function formatOf({ text }: ResponsesRequest): ChatRequest["response_format"] {
  if (text?.format?.type !== "json_schema") return text?.format;
  const { type, ...json_schema } = text.format;
  return { type, json_schema };
}

/** What OpenAI's response object repeats of the request, beside its sampling. */
function echoOf({ instructions, metadata, text, store }: ResponsesRequest) {
  return {
    store: store ?? false,
    instructions: instructions ?? null,
    metadata: metadata ?? {},
    text: { format: text?.format ?? { type: "text" }, ...(text?.verbosity != null && { verbosity: text.verbosity }) },
  };
}

/**
 * Reads the body of `POST /v1/responses` as the chat request that it amounts to, with what the answer repeats of it.
 *
 * @throws AttuneError `invalid_request`, `unsupported_parameter`
 */
export function readResponsesRequest(body: unknown): { chat: ChatRequest; echo: ReturnType<typeof echoOf> } {
  checkUnsupported(body, UNSUPPORTED_RESPONSES_FIELDS);
  const request = parse(responsesRequestSchema, body);
  const logprobs = request.include?.includes(LOGPROBS_INCLUDE) === true;
  if ((request.top_logprobs ?? 0) > 0 && !logprobs) {
    const message = `top_logprobs: needs include to name ${LOGPROBS_INCLUDE}`;
    throw new AttuneError("invalid_request", message, { param: "top_logprobs" });
  }
  const { input, instructions, max_output_tokens, text: _, include: __, metadata: ___, ...same } = request;
  const chat: ChatRequest = {
    ...same,
    messages: withPersona(input, instructions ?? ""),
    steer: steerOf(request),
    logprobs,
    max_completion_tokens: max_output_tokens,
    response_format: formatOf(request),
  };
  refuseFanOut(chat);
  checkTogether(chat);
  return { chat, echo: echoOf(request) };
}
