import type { AttuneError } from "../../schema/wire/errors.ts";
import { DONE_LINE, formatFrame } from "../../schema/wire/frames.ts";
import type { AnswerHead, ChoiceEnding, Piece } from "./answer-head.ts";
import type { Measurement } from "./choice-measurements.ts";
import { steeringEcho } from "./steering-echo.ts";

/** The one text of a message. */
const TEXT = { id: "text-1" };

/**
 * Renders an answer of one choice as the AI SDK's UI message stream, version 1: the parts of one message, each a whole server-sent
 * event. Usage and steering are the message's metadata, by the AI SDK's names.
 */
export class UiMessageStream {
  readonly #head: AnswerHead;
  #begun = false;
  #reason: ChoiceEnding = "stop";
  #sequence = 0;

  constructor(head: AnswerHead) {
    this.#head = head;
  }

  text({ text }: Piece, completionTokens: number): string {
    const start = this.#start(completionTokens);
    return text === "" ? start : start + this.#part({ type: "text-delta", ...TEXT, delta: text }, completionTokens);
  }

  /** The end of the text. The message itself ends with what was measured of it. */
  finish(_index: number, reason: ChoiceEnding, completionTokens: number): string {
    this.#reason = reason;
    return this.#start(completionTokens) + this.#part({ type: "text-end", ...TEXT }, completionTokens);
  }

  end(completionTokens: number, measurements: readonly Measurement[] | null): string {
    const { promptTokens: inputTokens, serviceTier } = this.#head;
    const messageMetadata = {
      usage: { inputTokens, outputTokens: completionTokens, totalTokens: inputTokens + completionTokens },
      ...steeringEcho(this.#head, measurements).answer,
      ...(serviceTier !== null && { service_tier: serviceTier }),
    };
    const finishReason = this.#reason === "content_filter" ? "content-filter" : this.#reason;
    const last = this.#part({ type: "finish", finishReason, messageMetadata }, completionTokens);
    return `${last}${DONE_LINE}\n\n`;
  }

  /** Clients show the error and keep what was written of the message. */
  fail({ message }: AttuneError, completionTokens: number): string {
    return `${this.#part({ type: "error", errorText: message }, completionTokens)}${DONE_LINE}\n\n`;
  }

  /** What comes before the first piece of text; empty once it was sent. */
  #start(completionTokens: number): string {
    if (this.#begun) return "";
    this.#begun = true;
    const message = this.#part({ type: "start", messageId: this.#head.generation }, completionTokens);
    return message + this.#part({ type: "text-start", ...TEXT }, completionTokens);
  }

  #part(part: object, completionTokens: number): string {
    const { generation } = this.#head;
    return formatFrame(part, { generation, sequence: this.#sequence++, completionTokens });
  }
}
