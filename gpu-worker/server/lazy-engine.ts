import { AttuneError } from "../../schema/wire/errors.ts";
import type { InferenceEngine } from "../engine/inference-engine.ts";
import { within } from "./within.ts";

/** Below the 30 seconds that the edge waits for an admission. */
export const PATIENCE_MS = 20_000;

type LazyEngineOptions = {
  /** What the model is called, for errors. */
  model: string;
  /** Prepares the weights and starts the engine; `signal` gives that up. */
  start: (signal: AbortSignal) => Promise<InferenceEngine>;
  /** Requests that may wait for the weights. */
  waiting: number;
  /** Told why the weights could not be loaded. */
  onFailure: (error: unknown) => void;
  /** How long a request waits for the weights. */
  patienceMs?: number;
};

/**
 * An engine that is started when it is first asked for. Where its start failed, or it is gone for good, the next who asks has it
 * started again.
 */
export class LazyEngine {
  readonly #options: LazyEngineOptions;
  readonly #closing = new AbortController();
  #current: InferenceEngine | null = null;
  #starting: Promise<InferenceEngine> | null = null;
  #waiting = 0;

  constructor(options: LazyEngineOptions) {
    this.#options = options;
  }

  /** The engine, where it was started. */
  get current(): InferenceEngine | null {
    return this.#current;
  }

  /** How far its weights are. A remote server that is away counts as loading. */
  get state(): "not_loaded" | "loading" | "ready" {
    if (this.#current?.isReady === true) return "ready";
    return this.#starting === null ? "not_loaded" : "loading";
  }

  /** The engine with its weights loaded. @throws whatever keeps it from being so */
  load(): Promise<InferenceEngine> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = null;
      if (!this.#closing.signal.aborted) this.#options.onFailure(error);
      throw error;
    });
    return this.#starting;
  }

  /**
   * The engine for a request, which waits for the weights where they are not loaded yet.
   *
   * @param left gives the wait up, and with it the place of who waits
   * @throws AttuneError `worker_unavailable` where they cannot be loaded, or that takes too long; `queue_full` where too many wait
   */
  async forRequest(left?: AbortSignal): Promise<InferenceEngine> {
    if (this.#current?.isReady === true) return this.#current;
    const { model, waiting, patienceMs = PATIENCE_MS } = this.#options;
    if (this.#waiting >= waiting) {
      throw new AttuneError(
        "queue_full",
        `Too many requests wait for ${model} to be loaded. Try again in a few seconds.`,
      );
    }
    this.#waiting += 1;
    // Why was reported once; each request that waited need not repeat it in the log.
    const loaded = this.load().catch(() => {
      const message = `${model} could not be loaded on this server. Ask its operator, or use another model.`;
      throw new AttuneError("worker_unavailable", message);
    });
    try {
      const late = () => new AttuneError("worker_unavailable", `${model} is being loaded. Try again in a few seconds.`);
      return await within(patienceMs, loaded, late, left);
    } finally {
      this.#waiting -= 1;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#current?.close();
    await this.#starting?.catch(() => {});
  }

  async #start(): Promise<InferenceEngine> {
    const { signal } = this.#closing;
    const engine = await this.#options.start(signal);
    if (signal.aborted) await engine.close();
    this.#current = engine;
    void engine.stopped.then(() => {
      this.#current = null;
      this.#starting = null;
    });
    await engine.ready;
    return engine;
  }
}
