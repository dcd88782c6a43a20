import { type Usage, usageOf } from "../../schema/api/chat.ts";
import type { EffectiveSteering } from "../../schema/steering.ts";
import type { AttuneError } from "../../schema/wire/errors.ts";
import { DONE_LINE, formatFrame } from "../../schema/wire/frames.ts";
import type { ContentLogprob } from "./openai-logprobs.ts";

type FinishReason = "stop" | "length";

/** What every chunk and body of one answer repeats. */
export type AnswerHead = {
  generation: string;
  model: string;
  /** Unix seconds. */
  created: number;
  promptTokens: number;
  steering: EffectiveSteering;
};

/** Renders one answer as OpenAI chat completion chunks, each a whole server-sent event. */
export class OpenAiStream {
  readonly #head: AnswerHead;
  readonly #includeUsage: boolean;
  #sequence = 0;

  constructor(head: AnswerHead, includeUsage: boolean) {
    this.#head = head;
    this.#includeUsage = includeUsage;
  }

  /** @param logprobs of the tokens that `content` is from; `null` where they were not asked for. */
  text(content: string, completionTokens: number, logprobs: ContentLogprob[] | null): string {
    const start = this.#start();
    const extra = logprobs === null ? {} : { logprobs: choiceLogprobs(logprobs) };
    return start + this.#chunk(completionTokens, [{ index: 0, delta: { content }, ...extra, finish_reason: null }]);
  }

  /** The finish chunk with the steering echo, the usage chunk where it was asked for, and the end of the stream. */
  finish(reason: FinishReason, completionTokens: number): string {
    const start = this.#start();
    const choices = [{ index: 0, delta: {}, finish_reason: reason }];
    const finish = this.#chunk(completionTokens, choices, { steer: this.#head.steering });
    const usage = usageOf(this.#head.promptTokens, completionTokens);
    const last = this.#includeUsage ? this.#chunk(completionTokens, [], { usage }) : "";
    return `${start}${finish}${last}${DONE_LINE}\n\n`;
  }

  /** The terminal frame of an answer that failed: clients throw on it instead of taking the silence for an end. */
  fail(error: AttuneError, completionTokens: number): string {
    return `${formatFrame(error.toBody(), this.#id(completionTokens))}${DONE_LINE}\n\n`;
  }

  /** OpenAI's first chunk names the role; empty once it was sent. */
  #start(): string {
    if (this.#sequence > 0) return "";
    return this.#chunk(0, [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]);
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
    const chunk = { id: generation, object: "chat.completion.chunk", created, model, choices, ...usage, ...extra };
    return formatFrame(chunk, this.#id(completionTokens));
  }
}

const choiceLogprobs = (content: ContentLogprob[]) => ({ content, refusal: null });

/** A finished answer. `logprobs` is `null` where they were not asked for. */
export type WholeAnswer = {
  content: string;
  reason: FinishReason;
  completionTokens: number;
  logprobs: ContentLogprob[] | null;
};

/** The body of an answer without streaming. */
export function openAiCompletion(head: AnswerHead, { content, reason, completionTokens, logprobs }: WholeAnswer) {
  const choice = {
    index: 0,
    message: { role: "assistant", content, refusal: null },
    logprobs: logprobs === null ? null : choiceLogprobs(logprobs),
    finish_reason: reason,
  };
  return {
    id: head.generation,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    choices: [choice],
    usage: usageOf(head.promptTokens, completionTokens),
    steer: head.steering,
  };
}
