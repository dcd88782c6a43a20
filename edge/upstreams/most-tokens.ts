import { DEFAULT_MAX_TOKENS } from "../../schema/api/chat.ts";
import { choicesOf, type GenerateRequest } from "../../schema/wire/generate.ts";
import { estimatePromptTokens } from "../limits/estimate.ts";

/** The most tokens that a request may have a worker compute, by the edge's estimate. */
export function mostTokens(request: GenerateRequest): number {
  const { messages, sampling, fan_out } = request;
  const answers = choicesOf(request).length * (sampling.max_tokens ?? DEFAULT_MAX_TOKENS);
  return estimatePromptTokens(messages, fan_out?.length ?? 1) + answers;
}
