import type { AttuneError } from "../../schema/wire/errors.ts";
import type { FinishReason } from "./answer.ts";
import type { EngineState } from "./engine-state.ts";
import type { GenerationRequest } from "./generation.ts";
import type { TokenLogprobs } from "./logprobs.ts";

/** How many requests an engine holds before it refuses more. */
export type QueueLimits = {
  /** Requests that may wait while all rows are taken. */
  queuedRequests: number;
  /** Prompt tokens that may wait. */
  queuedTokens: number;
};

/** How a generation ended. */
export type Ending =
  /** `timeUp`: it has length as its reason because its deadline came. */
  | { kind: "finished"; reason: FinishReason; completionTokens: number; timeUp?: true }
  | { kind: "cancelled"; completionTokens: number }
  /** `reason` is for the operator; `error` for the client, where it can do more about it than ask again. */
  | { kind: "failed"; completionTokens: number; reason: string; error?: AttuneError };

/** What a submitter hears. `onText` may be called with an empty text: the token is counted, its text is still held back. */
export type SequenceListener = {
  /** It has had a row since `at`, in the milliseconds of clock.ts; `cachedTokens` of its prompt need not be computed. */
  onStarted: (cachedTokens: number, at: number) => void;
  onText: (text: string, completionTokens: number, logprobs: TokenLogprobs[]) => void;
  onEnd: (ending: Ending) => void;
};

/** What continues prompts: the engine thread of this process, or a server elsewhere. */
export type InferenceEngine = {
  /** Whether it holds answers to their `response_format` itself; otherwise a mask has to come with the request. */
  readonly holdsToFormats: boolean;
  /** Settles when the model can be used for the first time; rejects where it never will be. */
  readonly ready: Promise<void>;
  /** Settles, with the reason, when the engine is gone and will not come back. */
  readonly stopped: Promise<string>;
  readonly isReady: boolean;
  readonly running: number;
  readonly waiting: number;
  /** Seconds since the last sign of progress while there is work; 0 when there is none. */
  readonly silence: number;
  /**
   * Queues a generation.
   *
   * @throws AttuneError before any work was done
   */
  submit(request: GenerationRequest, listener: SequenceListener): void;
  /** Ends a generation. Its listener hears of it; an unknown or ended one is left alone. */
  cancel(id: string): void;
  /** What it is doing, by what is known here: also while it computes. */
  inspect(): EngineState;
  close(): Promise<void>;
};
