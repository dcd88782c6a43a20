import { DEFAULT_MAX_TOKENS, type Message } from "../../schema/api/chat.ts";
import type { ServedModel } from "../../schema/api/models.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import type { GenerationRequest } from "../engine/generation.ts";
import { type ChatTemplate, renderPrompt } from "../model/chat-template.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { LazyEngine } from "./lazy-engine.ts";
import type { ModelMetrics } from "./metrics.ts";

/** A model that is being served: how conversations become its tokens, and the engine (a weight set of its own) that continues them. */
export type ModelHost = {
  model: ServedModel;
  tokenizer: Tokenizer;
  template: ChatTemplate;
  engine: LazyEngine;
  metrics: ModelMetrics;
};

/**
 * A conversation as the engine takes it.
 *
 * @throws AttuneError `context_length_exceeded`, or `invalid_request` where the template refuses it
 */
export function toSequence({ model, tokenizer, template }: ModelHost, request: GenerateRequest): GenerationRequest {
  const { messages, steering } = request;
  refuseHopeless(messages, model, tokenizer);
  const prompt = renderPrompt(tokenizer, template, { messages, steering, profile: model.profile });
  const { max_tokens: wished, ...sampling } = request.sampling;
  const room = model.context_length - prompt.length;
  const needed = wished ?? 1;
  if (room < needed) throw tooLong(model, `${prompt.length}`, `${needed}`);
  return { id: request.generation, prompt, sampling, maxTokens: wished ?? Math.min(DEFAULT_MAX_TOKENS, room) };
}

function tooLong({ context_length }: ServedModel, prompt: string, answer: string): AttuneError {
  const message =
    `This model's context is ${context_length} tokens. The messages take ${prompt} and the answer may take ${answer}. ` +
    "Shorten the messages or lower max_tokens.";
  return new AttuneError("context_length_exceeded", message, { param: "messages" });
}

/** Tokenising a megabyte takes seconds, in which nobody else is served: text that cannot fit by its mere size is refused before. */
function refuseHopeless(messages: readonly Message[], model: ServedModel, tokenizer: Tokenizer): void {
  const bytes = messages.reduce((total, { content }) => total + Buffer.byteLength(content), 0);
  const fewest = Math.floor(bytes / tokenizer.longestToken);
  if (fewest > model.context_length) throw tooLong(model, `${fewest} or more`, "1 or more");
}
