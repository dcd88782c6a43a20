import { type Usage, usageOf } from "../../schema/api/chat.ts";
import type { EffectiveSteering } from "../../schema/steering.ts";
import type { AttuneError } from "../../schema/wire/errors.ts";
import { DONE_LINE, formatFrame } from "../../schema/wire/frames.ts";
import type { FinishReason } from "../engine/answer.ts";
import type { ContentLogprob } from "./openai-logprobs.ts";

/** What every chunk and body of one answer repeats. */
export type AnswerHead = {
  generation: string;
  model: string;
  /** Unix seconds. */
  created: number;
  promptTokens: number;
  steering: EffectiveSteering;
  /** How each choice is steered, where they differ: each says so then, and the answer as a whole does not. */
  fanOut: readonly EffectiveSteering[] | null;
  /** `null`: the request named none, and so does the answer. */
  serviceTier: "default" | "flex" | null;
};

/** A piece of one choice's text. `logprobs` are of the tokens that it is from; `null` where they were not asked for. */
export type Piece = { index: number; text: string; logprobs: ContentLogprob[] | null };

/** The steering echo of one choice, and that of the chunk or body around it. */
const choiceEcho = ({ fanOut }: AnswerHead, index: number) => (fanOut === null ? {} : { steer: fanOut[index] });
const answerEcho = ({ fanOut, steering }: AnswerHead) => (fanOut === null ? { steer: steering } : {});

const tierEcho = ({ serviceTier }: AnswerHead) => (serviceTier === null ? {} : { service_tier: serviceTier });

/**
 * Renders one answer as OpenAI chat completion chunks, each a whole server-sent event about one choice. Tokens are counted over all
 * choices.
 */
export class OpenAiStream {
  readonly #head: AnswerHead;
  readonly #includeUsage: boolean;
  readonly #begun = new Set<number>();
  #sequence = 0;

  constructor(head: AnswerHead, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
  }

  text({ index, text: content, logprobs }: Piece, completionTokens: number): string {
    const start = this.#start(index, completionTokens);
    const extra = logprobs === null ? {} : { logprobs: choiceLogprobs(logprobs) };
    return start + this.#chunk(completionTokens, [{ index, delta: { content }, ...extra, finish_reason: null }]);
  }

  /** The finish chunk of one choice, with the steering echo. */
  finish(index: number, reason: FinishReason, completionTokens: number): string {
    const start = this.#start(index, completionTokens);
    const choice = { index, delta: {}, finish_reason: reason, ...choiceEcho(this.#head, index) };
    return start + this.#chunk(completionTokens, [choice], answerEcho(this.#head));
  }

  /** The usage chunk where it was asked for, and the end of the stream. */
  end(completionTokens: number): string {
    const usage = usageOf(this.#head.promptTokens, completionTokens);
    const last = this.#includeUsage ? this.#chunk(completionTokens, [], { usage }) : "";
    return `${last}${DONE_LINE}\n\n`;
  }

  /** The terminal frame of an answer that failed: clients throw on it instead of taking the silence for an end. */
  fail(error: AttuneError, completionTokens: number): string {
    return `${formatFrame(error.toBody(), this.#id(completionTokens))}${DONE_LINE}\n\n`;
  }

  /** OpenAI's first chunk of a choice names the role; empty once it was sent. */
  #start(index: number, completionTokens: number): string {
    if (this.#begun.has(index)) return "";
    this.#begun.add(index);
    const delta = { role: "assistant", content: "" };
    return this.#chunk(completionTokens, [{ index, delta, finish_reason: null }]);
  }

  #id(completionTokens: number) {
    return { generation: this.#head.generation, sequence: this.#sequence++, completionTokens };
  }

  #chunk(
    completionTokens: number,
    choices: object[],
    extra: { steer?: EffectiveSteering; usage?: Usage } = {},
  ): string {
    const { generation, created, model } = this.#head;
    const usage = this.#includeUsage ? { usage: null } : {};
    const chunk = {
      id: generation,
      object: "chat.completion.chunk",
      created,
      model,
      choices,
      ...usage,
      ...extra,
      ...tierEcho(this.#head),
    };
    return formatFrame(chunk, this.#id(completionTokens));
  }
}

const choiceLogprobs = (content: ContentLogprob[]) => ({ content, refusal: null });

/** A finished choice. `logprobs` is `null` where they were not asked for. */
export type WholeChoice = {
  content: string;
  reason: FinishReason;
  logprobs: ContentLogprob[] | null;
};

/** The body of an answer without streaming. */
export function openAiCompletion(head: AnswerHead, choices: readonly WholeChoice[], completionTokens: number) {
  return {
    id: head.generation,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    choices: choices.map(({ content, reason, logprobs }, index) => ({
      index,
      message: { role: "assistant", content, refusal: null },
      logprobs: logprobs === null ? null : choiceLogprobs(logprobs),
      finish_reason: reason,
      ...choiceEcho(head, index),
    })),
    usage: usageOf(head.promptTokens, completionTokens),
    ...answerEcho(head),
    ...tierEcho(head),
  };
}
