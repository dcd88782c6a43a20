import { SHARE_ENV, Worker } from "node:worker_threads";
import { AttuneError, deadlineExceeded } from "../../schema/wire/errors.ts";
import { CPU } from "../runtime/device.ts";
import { monotonicNow } from "./clock.ts";
import type { StepReport } from "./engine.ts";
import type { EngineState } from "./engine-state.ts";
import { finalLengths, type GenerationRequest } from "./generation.ts";
import { InFlight } from "./in-flight.ts";
import type { Ending, InferenceEngine, QueueLimits, SequenceListener } from "./inference-engine.ts";
import { kvPoolBytes } from "./kv-pool.ts";
import type { EngineSetup, FromEngine, ToEngine } from "./messages.ts";
import { fits } from "./policy.ts";

/** How long the engine may take to end by itself: a step, or loading a model. */
const CLOSE_MS = 20_000;

/**
 * The main thread's side of the engine: refuses what the queue cannot hold, passes on what the engine reports, and starts the engine
 * again when it crashed. What was in flight then has failed, and its submitters hear so.
 */
export class EngineClient implements InferenceEngine {
  readonly holdsToFormats = false;
  readonly #setup: EngineSetup;
  readonly #limits: QueueLimits;
  readonly #inFlight = new Map<string, InFlight>();
  readonly #onStep: (report: StepReport) => void;
  readonly #onRestart: (reason: string) => void;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<string>();
  #thread: Worker;
  #ready = false;
  #closing = false;
  #lastSign = monotonicNow();
  #lastStep: { report: StepReport; at: number } | null = null;
  /** Prompt tokens looked for in the prefix cache, and those found. */
  readonly #lookups = { tokens: 0, hits: 0 };

  constructor(
    setup: EngineSetup,
    limits: QueueLimits,
    onStep: (report: StepReport) => void = () => {},
    onRestart: (reason: string) => void = () => {},
  ) {
    this.#setup = setup;
    this.#limits = limits;
    this.#onStep = onStep;
    this.#onRestart = onRestart;
    this.#thread = this.#start();
  }

  /** Settles when the model is loaded; rejects where it cannot be. */
  get ready(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Settles, with the reason, when the engine is gone and will not come back. */
  get stopped(): Promise<string> {
    return this.#gone.promise;
  }

  #start(): Worker {
    const thread = new Worker(new URL("./thread.ts", import.meta.url), {
      workerData: this.#setup,
      // For ONNX Runtime, which reads the environment of the process.
      env: SHARE_ENV,
    });
    let steps = 0;
    this.#lastStep = null;
    let reason = "the engine thread stopped";
    thread.on("message", (message: FromEngine) => {
      this.#lastSign = monotonicNow();
      if (message.type === "step") {
        steps += 1;
        this.#hear(message.report);
        return;
      }
      this.#ready = true;
      this.#loaded.resolve();
    });
    thread.on("error", (error: Error) => {
      reason = `the engine thread failed: ${error.message}`;
    });
    thread.on("exit", () => {
      this.#ready = false;
      this.#failAll(reason);
      // One that never finished a step would not do so the next time either.
      if (steps > 0 && !this.#closing) {
        this.#onRestart(reason);
        this.#thread = this.#start();
        return;
      }
      this.#loaded.reject(new Error(reason));
      this.#gone.resolve(reason);
    });
    return thread;
  }

  get isReady(): boolean {
    return this.#ready;
  }

  get running(): number {
    return this.#count((entry) => entry.started);
  }

  get waiting(): number {
    return this.#inFlight.size - this.running;
  }

  /** Seconds since the engine last finished a step while it had work; 0 when it has none. */
  get silence(): number {
    return this.#inFlight.size === 0 ? 0 : (monotonicNow() - this.#lastSign) / 1000;
  }

  /**
   * Queues a sequence.
   *
   * @throws AttuneError `queue_full` before any work was done, `worker_unavailable` while the model is not loaded,
   * `context_length_exceeded` where even an empty pool could not hold it, `deadline_exceeded` where its deadline has come
   */
  submit(request: GenerationRequest, listener: SequenceListener): void {
    if (!this.#ready) throw new AttuneError("worker_unavailable", "The model is not loaded yet. Try again shortly.");
    if (this.#inFlight.has(request.id)) {
      throw new AttuneError("conflict", `Generation ${request.id} is in progress already.`);
    }
    const lengths = finalLengths(request);
    if (!fits(lengths, this.#setup.options, kvPoolBytes(this.#setup.config, this.#setup.device?.kvType))) {
      throw new AttuneError(
        "context_length_exceeded",
        "The messages and max_tokens together need more memory than this worker has. Shorten the messages or lower max_tokens.",
        { param: "messages" },
      );
    }
    const now = monotonicNow();
    if (request.deadline !== undefined && request.deadline <= now) throw deadlineExceeded();
    const entry = new InFlight(request, listener, now);
    this.#refuseWhenFull(entry.promptTokens);
    if (this.#inFlight.size === 0) this.#lastSign = now;
    this.#inFlight.set(request.id, entry);
    this.#post({ type: "submit", request });
  }

  /** Ends a sequence at the next step. Its listener hears of it; an unknown or ended one is left alone. */
  cancel(id: string): void {
    if (this.#inFlight.has(id)) this.#post({ type: "cancel", id });
  }

  inspect(): EngineState {
    const now = monotonicNow();
    const entries = [...this.#inFlight.entries()];
    const progress = new Map(this.#lastStep?.report.running.map((state) => [state.id, state]));
    return {
      ready: this.#ready,
      device: (this.#setup.device ?? CPU).name,
      silence_seconds: this.silence,
      queue: entries
        .filter(([, { started }]) => !started)
        .sort(([, a], [, b]) => a.rank - b.rank)
        .map(([, entry]) => entry.queuedState(now)),
      running: entries
        .filter(([, { started }]) => started)
        .map(([id, entry]) => entry.runningState(now, progress.get(id))),
      ...this.#memoryState(),
      last_step: this.#lastStep === null ? null : stepState(this.#lastStep.report, now - this.#lastStep.at),
    };
  }

  #memoryState(): Pick<EngineState, "kv_pool" | "prefix_cache"> {
    const { options } = this.#setup;
    const { tokens, hits } = this.#lookups;
    const report = this.#lastStep?.report;
    return {
      kv_pool: {
        bytes: report?.kvBytes ?? 0,
        used_bytes: report?.kvUsedBytes ?? 0,
        cap_bytes: options.kvBytes,
        slots: report?.kvSlots ?? 0,
      },
      prefix_cache: {
        bytes: report?.prefixBytes ?? 0,
        cap_bytes: options.prefixBytes,
        hit_rate: tokens === 0 ? null : hits / tokens,
      },
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    // Nobody needs to hear that a model which was still loading is not going to be ready.
    this.#loaded.promise.catch(() => {});
    this.#post({ type: "close" });
    const impatience = setTimeout(() => void this.#thread.terminate(), CLOSE_MS);
    await this.#gone.promise;
    clearTimeout(impatience);
  }

  #post(message: ToEngine): void {
    this.#thread.postMessage(message);
  }

  #count(matches: (entry: InFlight) => boolean): number {
    return [...this.#inFlight.values()].filter(matches).length;
  }

  #refuseWhenFull(promptTokens: number): void {
    const { queuedRequests, queuedTokens } = this.#limits;
    const entries = [...this.#inFlight.values()];
    const ahead = entries.reduce((total, { rows }) => total + rows, 0) - this.#setup.options.rows;
    if (ahead < 0) return;
    const waitingTokens = entries.reduce((total, entry) => total + (entry.started ? 0 : entry.promptTokens), 0);
    if (ahead < queuedRequests && waitingTokens + promptTokens <= queuedTokens) return;
    throw new AttuneError("queue_full", "The server is busy and its queue is full. Try again in a few seconds.");
  }

  #hear(report: StepReport): void {
    this.#lastStep = { report, at: this.#lastSign };
    this.#onStep(report);
    for (const event of report.events) {
      const entry = this.#inFlight.get(event.id);
      if (entry === undefined) continue;
      if (event.kind === "started") {
        this.#lookups.tokens += entry.prompt;
        this.#lookups.hits += event.cachedTokens;
      }
      const ending = entry.hear(event);
      if (ending !== null) this.#end(event.id, entry, ending);
    }
  }

  #end(id: string, entry: InFlight, ending: Ending): void {
    this.#inFlight.delete(id);
    entry.end(ending);
  }

  #failAll(reason: string): void {
    for (const [id, entry] of this.#inFlight) this.#end(id, entry, entry.failed(reason));
  }
}

function stepState({ seconds, decodeRows, prefillTokens }: StepReport, age: number): EngineState["last_step"] {
  return { age_ms: Math.round(age), seconds, decode_rows: decodeRows, prefill_tokens: prefillTokens };
}
