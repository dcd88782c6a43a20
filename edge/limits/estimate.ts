import { DEFAULT_MAX_TOKENS, type Message } from "../../schema/api/chat.ts";
import { choicesOf, type GenerateRequest } from "../../schema/wire/generate.ts";

/**
 * UTF-8 bytes a token stands for, taken low so that the estimate errs high: English prose has about four, code and other
 * scripts fewer. Settling replaces the estimate by the worker's count.
 */
const BYTES_PER_TOKEN = 3;
/** Role, markers and line breaks of one turn. */
const TOKENS_PER_MESSAGE = 8;
/** Label line, or the instruction in words. */
const TOKENS_PER_LABEL = 64;

const encoder = new TextEncoder();

/**
 * Prompt tokens to reserve before the worker, which owns the tokenizer, has counted them.
 *
 * @param labels label lines that the answers are given under; the conversation before them counts once
 */
export function estimatePromptTokens(messages: readonly Message[], labels: number): number {
  return messages.reduce((sum, message) => {
    const text = Math.ceil(encoder.encode(message.content).length / BYTES_PER_TOKEN);
    return sum + text + TOKENS_PER_MESSAGE + (message.steer === undefined ? 0 : TOKENS_PER_LABEL);
  }, labels * TOKENS_PER_LABEL);
}

/** The most tokens that a request may have a worker compute: what it reserves, and what it adds to a worker's load. */
export function mostTokens(request: GenerateRequest): number {
  const { messages, sampling, fan_out } = request;
  const answers = choicesOf(request).length * (sampling.max_tokens ?? DEFAULT_MAX_TOKENS);
  return estimatePromptTokens(messages, fan_out?.length ?? 1) + answers;
}
