import type { FinishReason } from "../answer.ts";
import type { Ending, SequenceListener } from "../inference-engine.ts";
import type { CompletionChunk } from "./completion-chunk.ts";
import { RemoteRefusal } from "./remote-refusal.ts";
import { describe } from "./unreachable.ts";

/** One answer in the making on a server elsewhere. */
export class RemoteGeneration {
  readonly promptTokens: number;
  readonly #listener: SequenceListener;
  readonly #connection = new AbortController();
  /** Why the connection was closed from here: a reason to have failed, or `null` for a cancel. */
  #lost: string | null = null;
  #started = false;
  #completionTokens = 0;
  #finishReason: string | null = null;

  constructor(promptTokens: number, listener: SequenceListener) {
    this.promptTokens = promptTokens;
    this.#listener = listener;
  }

  /** Whether the server has begun to answer. */
  get started(): boolean {
    return this.#started;
  }

  /** Aborts when the connection is to be closed. */
  get signal(): AbortSignal {
    return this.#connection.signal;
  }

  cancel(): void {
    this.#connection.abort();
  }

  /** Gives up on the server. */
  lose(reason: string): void {
    this.#lost = reason;
    this.#connection.abort();
  }

  /** Passes chunks on to the listener until the answer is over, and says how it ended. Never rejects. */
  async follow(chunks: AsyncIterable<CompletionChunk>): Promise<Ending> {
    try {
      for await (const chunk of chunks) {
        if (this.signal.aborted) break;
        this.#take(chunk);
        // The usage may come with the last chunk of the answer, or in one of its own right after.
        if (this.#finishReason !== null && chunk.hasUsage) break;
      }
      return this.#end(new Error("The server closed the stream before the answer was finished"));
    } catch (error) {
      return this.#end(error);
    }
  }

  #take({ text, finishReason, completionTokens, cachedTokens, logprobs }: CompletionChunk): void {
    if (!this.#started) {
      this.#started = true;
      this.#listener.onStarted(cachedTokens);
    }
    // A server without a running count sends a token or more a chunk.
    const counted = completionTokens ?? this.#completionTokens + (text === "" ? 0 : 1);
    const more = counted > this.#completionTokens;
    this.#completionTokens = Math.max(this.#completionTokens, counted);
    this.#finishReason ??= finishReason;
    if (text !== "" || more || logprobs.length > 0) this.#listener.onText(text, this.#completionTokens, logprobs);
  }

  /** @param trouble what ended the stream, for when the answer was not complete by then */
  #end(trouble: unknown): Ending {
    const completionTokens = this.#completionTokens;
    const failed = (reason: string) => ({ kind: "failed" as const, completionTokens, reason });
    if (this.#lost !== null) return failed(this.#lost);
    if (this.signal.aborted) return { kind: "cancelled", completionTokens };
    if (this.#finishReason !== null) {
      const reason = FINISH_REASONS.get(this.#finishReason);
      if (reason === undefined) return failed(`The server ended the answer with "${this.#finishReason}"`);
      return { kind: "finished", reason, completionTokens };
    }
    const error = trouble instanceof RemoteRefusal && !this.#started ? trouble.toClient() : null;
    return { ...failed(describe(trouble)), ...(error === null ? {} : { error }) };
  }
}

/** The servers' others (`abort`, `error`, `cancelled`, `timeout`) are no end that an answer should have. */
const FINISH_REASONS = new Map<string, FinishReason>([
  ["stop", "stop"],
  ["length", "length"],
]);
