import { DEFAULT_MAX_TOKENS } from "../../schema/api/chat.ts";
import type { ServedModel } from "../../schema/api/models.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import type { EngineClient } from "../engine/client.ts";
import type { SequenceRequest } from "../engine/sequence.ts";
import { type ChatTemplate, renderPrompt } from "../model/chat-template.ts";
import type { Tokenizer } from "../model/tokenizer.ts";

/** A model that is being served: how conversations become its tokens, and the engine that continues them. */
export type ModelHost = {
  model: ServedModel;
  tokenizer: Tokenizer;
  template: ChatTemplate;
  engine: EngineClient;
};

/**
 * A conversation as the engine takes it.
 *
 * @throws AttuneError `model_not_found`, `context_length_exceeded`, or `invalid_request` where the template refuses it
 */
export function toSequence({ model, tokenizer, template }: ModelHost, request: GenerateRequest): SequenceRequest {
  if (request.model !== model.id) {
    throw new AttuneError("model_not_found", `This worker serves ${model.id}, not ${request.model}.`, {
      param: "model",
    });
  }
  const { messages, steering } = request;
  const prompt = renderPrompt(tokenizer, template, { messages, steering, profile: model.profile });
  const { max_tokens: wished, ...sampling } = request.sampling;
  const room = model.context_length - prompt.length;
  const needed = wished ?? 1;
  if (room < needed) {
    throw new AttuneError(
      "context_length_exceeded",
      `This model's context is ${model.context_length} tokens. The messages take ${prompt.length} and the answer may take ` +
        `${needed}. Shorten the messages or lower max_tokens.`,
      { param: "messages" },
    );
  }
  return { id: request.generation, prompt, sampling, maxTokens: wished ?? Math.min(DEFAULT_MAX_TOKENS, room) };
}
