import { deadlineExceeded } from "../../schema/wire/errors.ts";
import type { EngineEvent } from "./engine.ts";
import { type QueuedState, queuedState, type RunningState, runningState } from "./engine-state.ts";
import { finalLengths, type GenerationRequest, type Progress } from "./generation.ts";
import type { Ending, SequenceListener } from "./inference-engine.ts";
import { rank } from "./waiting-queue.ts";

/** A generation that the engine thread has, as far as the main thread has heard of it. */
export class InFlight {
  /** Rows of a batch that it takes. */
  readonly rows: number;
  /** Tokens of the prompts of all its rows. */
  readonly promptTokens: number;
  readonly #request: GenerationRequest;
  readonly #submitted: number;
  readonly #listener: SequenceListener;
  #cachedTokens: number | null = null;
  #completionTokens = 0;

  /** @param submitted in the clock's milliseconds */
  constructor(request: GenerationRequest, listener: SequenceListener, submitted: number) {
    const lengths = finalLengths(request);
    this.rows = lengths.length;
    this.promptTokens = lengths.reduce((total, length) => total + length - request.maxTokens, 0);
    this.#request = request;
    this.#listener = listener;
    this.#submitted = submitted;
  }

  /** Whether it has its rows. */
  get started(): boolean {
    return this.#cachedTokens !== null;
  }

  /** Tokens of the steered prompt. */
  get prompt(): number {
    return this.#request.prompt.length;
  }

  /** Where it stands in the queue. */
  get rank(): number {
    return rank(this.#request.priority ?? 0, this.#submitted);
  }

  /** Passes an event on to the listener. @returns how it ended, where it did */
  hear(event: EngineEvent): Ending | null {
    switch (event.kind) {
      case "started":
        this.#cachedTokens = event.cachedTokens;
        this.#listener.onStarted(event.cachedTokens, event.at);
        return null;
      case "advanced": {
        const { text, completionTokens, finish, logprobs = [], timeUp } = event;
        const more = completionTokens > this.#completionTokens;
        this.#completionTokens = completionTokens;
        // An end for want of time comes without a token of its own.
        if (more || text !== "" || logprobs.length > 0) this.#listener.onText(text, completionTokens, logprobs);
        if (finish === null) return null;
        return { kind: "finished", reason: finish, completionTokens, ...(timeUp && { timeUp }) };
      }
      case "expired":
        return { ...this.failed("its deadline came while it waited"), error: deadlineExceeded() };
      case "cancelled":
        return { kind: "cancelled", completionTokens: event.completionTokens };
      case "failed":
        return { kind: "failed", completionTokens: event.completionTokens, reason: event.reason };
    }
  }

  failed(reason: string): Ending & { kind: "failed" } {
    return { kind: "failed", completionTokens: this.#completionTokens, reason };
  }

  end(ending: Ending): void {
    this.#listener.onEnd(ending);
  }

  /** @param now the clock's milliseconds */
  queuedState(now: number): QueuedState {
    return queuedState(this.#request, this.#submitted, now);
  }

  /**
   * @param now the clock's milliseconds
   * @param progress that the engine last reported of it; `undefined` where it was not running then
   */
  runningState(now: number, progress: Progress | undefined): RunningState {
    return {
      ...runningState(this.#request, this.#submitted, now),
      phase: progress?.phase ?? "prefill",
      computed_tokens: progress?.computedTokens ?? 0,
      cached_tokens: this.#cachedTokens ?? 0,
      completion_tokens: this.#completionTokens,
      rows: this.rows,
    };
  }
}
