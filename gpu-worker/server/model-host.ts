import { DEFAULT_MAX_TOKENS, type Message } from "../../schema/api/chat.ts";
import type { ServedModel } from "../../schema/api/models.ts";
import type { AttributeLevels } from "../../schema/attributes.ts";
import type { EffectiveSteering } from "../../schema/steering.ts";
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
export function toGeneration({ model, tokenizer, template }: ModelHost, request: GenerateRequest): GenerationRequest {
  const { messages, steering } = request;
  refuseHopeless(messages, model, tokenizer);
  const render = (applied: EffectiveSteering) =>
    renderPrompt(tokenizer, template, { messages, steering: applied, profile: model.profile });
  const prompt = render(steering);
  const against =
    steering.guidance === undefined ? prompt : render(steeredAgainst(steering, steering.guidance.against));
  const { max_tokens: wished, ...sampling } = request.sampling;
  const longest = Math.max(prompt.length, against.length);
  const room = model.context_length - longest;
  const needed = wished ?? 1;
  if (room < needed) throw tooLong(model, `${longest}`, `${needed}`);
  const sequence = {
    id: request.generation,
    prompt,
    sampling,
    maxTokens: wished ?? Math.min(DEFAULT_MAX_TOKENS, room),
  };
  // Two prompts that are the same have no difference to amplify.
  if (steering.guidance === undefined || String(prompt) === String(against)) return sequence;
  return { ...sequence, guidance: { prompt: against, strength: steering.guidance.strength } };
}

/** The steering of what an answer is guided away from: other levels by the same method, or none. */
function steeredAgainst(steering: EffectiveSteering, levels: AttributeLevels): EffectiveSteering {
  return { ...steering, effective: levels, method: Object.keys(levels).length === 0 ? "none" : steering.method };
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
