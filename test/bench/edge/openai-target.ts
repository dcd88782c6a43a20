import { MAX_TOKENS } from "./gateway.ts";
import { questionOf, type Target } from "./http-client.ts";
import { conversationOf } from "./script.ts";

/** OpenAI's chat completions at this origin. */
export function openAiTarget(
  origin: string,
  model: string,
  headers: Record<string, string> = {},
  more: object = {},
): Target {
  const url = new URL("/v1/chat/completions", origin);
  return async (script, stream) => {
    const body = { model, messages: conversationOf(script), max_tokens: MAX_TOKENS, stream, ...more };
    return questionOf(url, { authorization: "Bearer sk-mock", ...headers }, JSON.stringify(body));
  };
}
