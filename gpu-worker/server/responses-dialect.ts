import type { AttuneError } from "../../schema/wire/errors.ts";
import { formatFrame } from "../../schema/wire/frames.ts";
import type { GenerateRequest } from "../../schema/wire/generate.ts";
import type { AnswerHead, ChoiceEnding, Piece, WholeChoice } from "./answer-head.ts";
import type { Measurement } from "./choice-measurements.ts";
import type { ContentLogprob } from "./openai-logprobs.ts";
import { steeringEcho } from "./steering-echo.ts";

/** What a response object repeats of its request. */
type Asked = Pick<GenerateRequest, "sampling" | "echo">;

type Status = "in_progress" | "completed" | "incomplete" | "failed";

/** How a response stands whose answer ended for that reason, and what it lacks. */
const ENDINGS = {
  stop: { status: "completed", incomplete_details: null },
  length: { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
  content_filter: { status: "incomplete", incomplete_details: { reason: "content_filter" } },
} as const satisfies Record<ChoiceEnding, { status: Status; incomplete_details: object | null }>;

const textPart = (text: string, logprobs: ContentLogprob[] | null) => {
  return { type: "output_text", annotations: [], logprobs: logprobs ?? [], text };
};

const messageItem = ({ generation }: AnswerHead, status: Status, content: object[]) => {
  return { id: generation.replace(/^gen_/, "msg_"), type: "message", role: "assistant", status, content };
};

/** Nothing is charged less for being in a cache, and there are no hidden tokens. */
const usageOf = ({ promptTokens }: AnswerHead, completionTokens: number) => ({
  input_tokens: promptTokens,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: completionTokens,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: promptTokens + completionTokens,
});

/** OpenAI's response object, with what differs between its states in `state`. */
function responseObject(head: AnswerHead, { sampling, echo }: Asked, status: Status, state: object) {
  return {
    id: head.generation,
    object: "response",
    created_at: head.created,
    status,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: sampling.max_tokens,
    model: head.model,
    output: [],
    parallel_tool_calls: false,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: sampling.temperature,
    tool_choice: "none",
    tools: [],
    top_logprobs: sampling.logprobs ?? 0,
    top_p: sampling.top_p,
    truncation: "disabled",
    usage: null,
    ...echo,
    ...(head.serviceTier !== null && { service_tier: head.serviceTier }),
    ...state,
  };
}

/** The response object of a finished answer, which is of one choice. */
export function finishedResponse(
  head: AnswerHead,
  asked: Asked,
  { content, reason, logprobs }: WholeChoice,
  completionTokens: number,
  measurements: readonly Measurement[] | null,
) {
  const { status, incomplete_details } = ENDINGS[reason];
  return responseObject(head, asked, status, {
    incomplete_details,
    output: [messageItem(head, status, [textPart(content, logprobs)])],
    usage: usageOf(head, completionTokens),
    ...steeringEcho(head, measurements).answer,
  });
}

/** Renders an answer of one choice as the events of OpenAI's Responses, each a whole server-sent event. */
export class ResponsesStream {
  readonly #head: AnswerHead;
  readonly #asked: Asked;
  readonly #choice: WholeChoice = { content: "", reason: "stop", logprobs: [] };
  #begun = false;
  #sequence = 0;

  constructor(head: AnswerHead, asked: Asked) {
    this.#head = head;
    this.#asked = asked;
  }

  text({ text, logprobs }: Piece, completionTokens: number): string {
    const start = this.#start(completionTokens);
    this.#choice.content += text;
    this.#choice.logprobs?.push(...(logprobs ?? []));
    const delta = { ...this.#place(), delta: text, logprobs: logprobs ?? [] };
    return start + this.#event("response.output_text.delta", delta, completionTokens);
  }

  /** The end of the text and of its item. The response itself ends with what was measured of it. */
  finish(_index: number, reason: ChoiceEnding, completionTokens: number): string {
    const start = this.#start(completionTokens);
    this.#choice.reason = reason;
    const { content, logprobs } = this.#choice;
    const part = textPart(content, logprobs);
    const item = messageItem(this.#head, ENDINGS[reason].status, [part]);
    const text = { ...this.#place(), text: content, logprobs: part.logprobs };
    return (
      start +
      this.#event("response.output_text.done", text, completionTokens) +
      this.#event("response.content_part.done", { ...this.#place(), part }, completionTokens) +
      this.#event("response.output_item.done", { output_index: 0, item }, completionTokens)
    );
  }

  /** The terminal event of an answer that is whole or reached its limit. */
  end(completionTokens: number, measurements: readonly Measurement[] | null): string {
    const response = finishedResponse(this.#head, this.#asked, this.#choice, completionTokens, measurements);
    return this.#event(`response.${response.status}`, { response }, completionTokens);
  }

  /** The terminal event of an answer that failed, with what was written of it. */
  fail({ code, message }: AttuneError, completionTokens: number): string {
    const start = this.#created(completionTokens);
    const { content, logprobs } = this.#choice;
    const item = messageItem(this.#head, "incomplete", [textPart(content, logprobs)]);
    const response = responseObject(this.#head, this.#asked, "failed", {
      error: { code, message },
      output: content === "" ? [] : [item],
      usage: usageOf(this.#head, completionTokens),
    });
    return start + this.#event("response.failed", { response }, completionTokens);
  }

  /** The events before anything of the answer; empty once they were sent. */
  #created(completionTokens: number): string {
    if (this.#begun) return "";
    this.#begun = true;
    const response = responseObject(this.#head, this.#asked, "in_progress", {});
    return (
      this.#event("response.created", { response }, completionTokens) +
      this.#event("response.in_progress", { response }, completionTokens)
    );
  }

  /** What comes before the first piece of text; empty once it was sent. */
  #start(completionTokens: number): string {
    const created = this.#created(completionTokens);
    if (created === "") return "";
    const item = messageItem(this.#head, "in_progress", []);
    return (
      created +
      this.#event("response.output_item.added", { output_index: 0, item }, completionTokens) +
      this.#event("response.content_part.added", { ...this.#place(), part: textPart("", null) }, completionTokens)
    );
  }

  /** Where in the output the text stands. */
  #place() {
    return { item_id: this.#head.generation.replace(/^gen_/, "msg_"), output_index: 0, content_index: 0 };
  }

  #event(type: string, fields: object, completionTokens: number): string {
    const sequence = this.#sequence++;
    const id = { generation: this.#head.generation, sequence, completionTokens };
    return formatFrame({ type, sequence_number: sequence, ...fields }, id, type);
  }
}
