import { deadlineExceeded } from "../../../schema/wire/errors.ts";
import type { FinishReason } from "../answer.ts";
import { monotonicNow } from "../clock.ts";
import { type QueuedState, queuedState, type RunningState, runningState } from "../engine-state.ts";
import type { GenerationRequest } from "../generation.ts";
import type { Ending, SequenceListener } from "../inference-engine.ts";
import type { CompletionChunk } from "./completion-chunk.ts";
import { RemoteRefusal } from "./remote-refusal.ts";
import { describe } from "./unreachable.ts";

/** One answer in the making on a server elsewhere. */
export class RemoteGeneration {
  readonly #request: GenerationRequest;
  readonly #submitted: number;
  readonly #listener: SequenceListener;
  readonly #connection = new AbortController();
  /** Why the connection was closed from here: a reason to have failed, or `null` for a cancel. */
  #lost: string | null = null;
  #timeUp = false;
  /** `null` until the server has begun to answer. */
  #cachedTokens: number | null = null;
  #completionTokens = 0;
  #finishReason: string | null = null;

  /** @param submitted in the clock's milliseconds */
  constructor(request: GenerationRequest, listener: SequenceListener, submitted: number) {
    this.#request = request;
    this.#listener = listener;
    this.#submitted = submitted;
  }

  get promptTokens(): number {
    return this.#request.prompt.length;
  }

  /** Whether the server has begun to answer. */
  get started(): boolean {
    return this.#cachedTokens !== null;
  }

  /** Aborts when the connection is to be closed. */
  get signal(): AbortSignal {
    return this.#connection.signal;
  }

  cancel(): void {
    this.#connection.abort();
  }

  /** Ends it because its deadline came. */
  expire(): void {
    this.#timeUp = true;
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

  /** @param now the clock's milliseconds */
  queuedState(now: number): QueuedState {
    return queuedState(this.#request, this.#submitted, now);
  }

  /** @param now the clock's milliseconds */
  runningState(now: number): RunningState {
    return {
      ...runningState(this.#request, this.#submitted, now),
      phase: this.#completionTokens === 0 ? "prefill" : "decode",
      computed_tokens: null,
      cached_tokens: this.#cachedTokens ?? 0,
      completion_tokens: this.#completionTokens,
      rows: null,
    };
  }

  #take({ text, finishReason, completionTokens, cachedTokens, logprobs }: CompletionChunk): void {
    if (!this.started) {
      this.#cachedTokens = cachedTokens;
      this.#listener.onStarted(cachedTokens, monotonicNow());
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
    if (this.#timeUp && this.#finishReason === null) {
      return this.started
        ? { kind: "finished", reason: "length", completionTokens, timeUp: true }
        : { ...failed("its deadline came before the server began"), error: deadlineExceeded() };
    }
    if (this.signal.aborted && !this.#timeUp) return { kind: "cancelled", completionTokens };
    if (this.#finishReason !== null) {
      const reason = FINISH_REASONS.get(this.#finishReason);
      if (reason === undefined) return failed(`The server ended the answer with "${this.#finishReason}"`);
      return { kind: "finished", reason, completionTokens };
    }
    const error = trouble instanceof RemoteRefusal && !this.started ? trouble.toClient() : null;
    return { ...failed(describe(trouble)), ...(error === null ? {} : { error }) };
  }
}

/** The servers' others (`abort`, `error`, `cancelled`, `timeout`) are no end that an answer should have. */
const FINISH_REASONS = new Map<string, FinishReason>([
  ["stop", "stop"],
  ["length", "length"],
]);
