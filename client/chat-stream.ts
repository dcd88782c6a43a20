import type { components } from "./document.ts";
import { AttuneError, readErrorBody } from "./error.ts";
import { readEvents } from "./events.ts";
import { parseJson, trusted } from "./json.ts";

export type ChatCompletionChunk = components["schemas"]["ChatCompletionChunk"];
type Steering = NonNullable<ChatCompletionChunk["steer"]>;
type Usage = components["schemas"]["Usage"];

/** What is known of one of the answers of a stream. */
export type StreamedChoice = {
  text: string;
  finish_reason: "stop" | "length" | "content_filter" | null;
  /** What was applied and, with `steer.measure`, what it became; `null` until the stream says so. */
  steer: Steering | null;
};

/** A streamed chat completion: chunks as they come, and what they come to. Can be read once. */
export class ChatStream implements AsyncIterable<ChatCompletionChunk> {
  readonly #response: Response;
  readonly #signal: AbortSignal | undefined;
  readonly #choices: StreamedChoice[] = [];
  readonly requestId: string | null;
  /** The generation; `null` only where a page may not read the answer's headers, until its first chunk has come. */
  id: string | null;
  /** Where to go on with a generation that is `resumable`. */
  lastEventId: string | null = null;
  /** With `stream_options.include_usage`. */
  usage: Usage | null = null;
  /** Of the answer as a whole; with `steer.fan_out` each choice has its own. */
  steer: Steering | null = null;

  constructor(response: Response, signal?: AbortSignal) {
    this.#response = response;
    this.#signal = signal;
    this.id = response.headers.get("x-generation-id");
    this.requestId = response.headers.get("x-request-id");
  }

  /** The answers so far, in order. */
  get choices(): readonly StreamedChoice[] {
    return this.#choices;
  }

  /** The first answer so far. */
  get text(): string {
    return this.#choices[0]?.text ?? "";
  }

  /** @throws AttuneError where the generation failed, or broke off; what came until then stays in `choices` */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void> {
    const { body } = this.#response;
    if (body === null) throw this.#error("The answer has no body.", "broken_off");
    for await (const { id, data } of this.#events(body)) {
      if (id !== "") this.lastEventId = id;
      if (data === "[DONE]") return;
      const chunk = parseJson(data);
      const said = readErrorBody(chunk);
      if (said !== null) throw this.#error(said.message, said.code, said.param);
      if (chunk === undefined) throw this.#error("An event of the stream is no JSON.", "unreadable");
      const trustedChunk: ChatCompletionChunk = trusted(chunk);
      this.#take(trustedChunk);
      yield trustedChunk;
    }
    throw this.#error("The stream broke off before its end. The answer is incomplete; try again.", "broken_off");
  }

  /** The pieces of the first answer's text. */
  async *texts(): AsyncGenerator<string, void> {
    for await (const { choices } of this) {
      for (const { index, delta } of choices) if (index === 0 && delta.content) yield delta.content;
    }
  }

  /** Reads to the end. */
  async finished(): Promise<this> {
    for await (const _ of this);
    return this;
  }

  async *#events(body: ReadableStream<Uint8Array>) {
    try {
      yield* readEvents(body);
    } catch (cause) {
      this.#signal?.throwIfAborted();
      throw this.#error("The connection broke. The answer is incomplete; try again.", "broken_off", null, cause);
    }
  }

  #error(message: string, code: string, param: string | null = null, cause?: unknown): AttuneError {
    return new AttuneError(message, { code, param, requestId: this.requestId, cause });
  }

  #take({ id, choices, steer, usage }: ChatCompletionChunk): void {
    this.id = id;
    if (steer !== undefined) this.steer = steer;
    if (usage != null) this.usage = usage;
    for (const { index, delta, finish_reason, steer: own } of choices) {
      while (this.#choices.length <= index) this.#choices.push({ text: "", finish_reason: null, steer: null });
      const choice = this.#choices[index];
      if (choice === undefined) continue;
      choice.text += delta.content ?? "";
      choice.finish_reason = finish_reason ?? choice.finish_reason;
      choice.steer = own ?? steer ?? choice.steer;
    }
  }
}
