import { type Usage, usageOf } from "../../schema/api/chat.ts";
import type { AttuneError } from "../../schema/wire/errors.ts";
import { DONE_LINE, formatFrame } from "../../schema/wire/frames.ts";
import type { AnswerHead, ChoiceEnding, Piece, WholeChoice } from "./answer-head.ts";
import type { Measurement } from "./choice-measurements.ts";
import type { ContentLogprob } from "./openai-logprobs.ts";
import { steeringEcho } from "./steering-echo.ts";

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
  finish(index: number, reason: ChoiceEnding, completionTokens: number): string {
    const start = this.#start(index, completionTokens);
    const echo = steeringEcho(this.#head, null);
    const choice = { index, delta: {}, finish_reason: reason, ...echo.choice(index) };
    return start + this.#chunk(completionTokens, [choice], echo.answer);
  }

  /** What was measured and the usage chunk, where they were asked for, and the end of the stream. */
  end(completionTokens: number, measurements: readonly Measurement[] | null): string {
    const measured = measurements === null ? "" : this.#measured(measurements, completionTokens);
    const usage = usageOf(this.#head.promptTokens, completionTokens);
    const last = this.#includeUsage ? this.#chunk(completionTokens, [], { usage }) : "";
    return `${measured}${last}${DONE_LINE}\n\n`;
  }

  /** The terminal frame of an answer that failed: clients throw on it instead of taking the silence for an end. */
  fail(error: AttuneError, completionTokens: number): string {
    return `${formatFrame(error.toBody(), this.#id(completionTokens))}${DONE_LINE}\n\n`;
  }

  /**
   * What was measured, after all choices are finished: a chunk for each, with its steering echo once more, for clients that put chunks together
   * keep the last.
   */
  #measured(measurements: readonly Measurement[], completionTokens: number): string {
    const { answer, choice } = steeringEcho(this.#head, measurements);
    const chunks = measurements.map((_, index) =>
      this.#chunk(completionTokens, [{ index, delta: {}, finish_reason: null, ...choice(index) }], answer),
    );
    return chunks.join("");
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

  #chunk(completionTokens: number, choices: object[], extra: { steer?: object; usage?: Usage } = {}): string {
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

/**
 * The body of an answer without streaming.
 *
 * @param measurements of each choice; `null` where that was not asked for
 */
export function openAiCompletion(
  head: AnswerHead,
  choices: readonly WholeChoice[],
  completionTokens: number,
  measurements: readonly Measurement[] | null,
) {
  const echo = steeringEcho(head, measurements);
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
      ...echo.choice(index),
    })),
    usage: usageOf(head.promptTokens, completionTokens),
    ...echo.answer,
    ...tierEcho(head),
  };
}
