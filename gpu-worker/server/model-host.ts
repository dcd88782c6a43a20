import { DEFAULT_MAX_TOKENS, type Message } from "../../schema/api/chat.ts";
import type { ServedModel } from "../../schema/api/models.ts";
import type { AttributeLevels } from "../../schema/attributes.ts";
import type { EffectiveSteering } from "../../schema/steering.ts";
import { AttuneError } from "../../schema/wire/errors.ts";
import { choicesOf, type GenerateRequest } from "../../schema/wire/generate.ts";
import type { GenerationRequest } from "../engine/generation.ts";
import { type ChatTemplate, type Prompt, renderPrompt } from "../model/chat-template.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { choiceSeed } from "./choice-seed.ts";
import type { LazyEngine } from "./lazy-engine.ts";
import type { ModelMetrics } from "./metrics.ts";
import type { ResidentAdapter } from "./resident-adapter.ts";
import type { WeightSet } from "./weight-set.ts";

/** A model that is being served: how conversations become its tokens, and the engine (a weight set of its own) that continues them. */
export type ModelHost = {
  model: ServedModel;
  tokenizer: Tokenizer;
  template: ChatTemplate;
  weights: WeightSet;
  engine: LazyEngine;
  metrics: ModelMetrics;
  /** What it is adapted by without being merged; left out where by nothing. */
  adapter?: ResidentAdapter;
};

/**
 * A conversation as the engine takes it: a generation for each choice, the first of which has the request's own id.
 *
 * @throws AttuneError `context_length_exceeded`, or `invalid_request` where the template refuses it
 */
export function toGenerations(host: ModelHost, request: GenerateRequest): GenerationRequest[] {
  refuseHopeless(request.messages, host.model, host.tokenizer);
  const render = promptRenderer(host, request.messages);
  return choicesOf(request).map((steering, index) => toGeneration(host, request, { index, steering }, render));
}

type RenderPrompt = (steering: EffectiveSteering) => Prompt;

/** Renders the prompts of one conversation, each once: it takes milliseconds, in which nobody else is served. */
function promptRenderer({ model, tokenizer, template }: ModelHost, messages: readonly Message[]): RenderPrompt {
  const prompts = new Map<string, Prompt>();
  return (steering) => {
    const key = JSON.stringify([steering.method, steering.effective]);
    const prompt =
      prompts.get(key) ?? renderPrompt(tokenizer, template, { messages, steering, profile: model.profile });
    prompts.set(key, prompt);
    return prompt;
  };
}

function toGeneration(
  { model, adapter }: ModelHost,
  request: GenerateRequest,
  { index, steering }: { index: number; steering: EffectiveSteering },
  render: RenderPrompt,
): GenerationRequest {
  const { ids: prompt, conversation } = render(steering);
  const against =
    steering.guidance === undefined ? prompt : render(steeredAgainst(steering, steering.guidance.against)).ids;
  const { max_tokens: wished, ...sampling } = request.sampling;
  const longest = Math.max(prompt.length, against.length);
  const room = model.context_length - longest;
  const needed = wished ?? 1;
  if (room < needed) throw tooLong(model, `${longest}`, `${needed}`);
  const sequence = {
    id: index === 0 ? request.generation : `${request.generation}.${index}`,
    prompt,
    ...(conversation !== null && { conversationTokens: conversation }),
    ...(adapter !== undefined && { adapter: adapter.banked }),
    sampling: { ...sampling, seed: choiceSeed(sampling.seed, index) },
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
