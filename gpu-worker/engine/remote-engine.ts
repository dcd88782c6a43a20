import { AttuneError, deadlineExceeded } from "../../schema/wire/errors.ts";
import { monotonicNow } from "./clock.ts";
import type { EngineState } from "./engine-state.ts";
import type { GenerationRequest } from "./generation.ts";
import type { InferenceEngine, QueueLimits, SequenceListener } from "./inference-engine.ts";
import { completionRequest } from "./remote/completion-request.ts";
import { RemoteGeneration } from "./remote/remote-generation.ts";
import type { RemoteModel } from "./remote/remote-model.ts";
import { RemoteServer } from "./remote/remote-server.ts";
import { RemoteWatch } from "./remote/remote-watch.ts";
import { describe, isUnreachable } from "./remote/unreachable.ts";

export type RemoteEngineOptions = {
  /** Of an OpenAI-compatible server, with or without `/v1`. */
  url: string;
  /** What the server calls the model, or the LoRA; the only one that it serves where none is given. */
  model?: string | undefined;
  /** Sent as a bearer token. */
  key?: string | undefined;
  /** Told why the server cannot be used, once each time that it is lost. */
  onLost?: (reason: string) => void;
  /** How often its health is asked for, in milliseconds. */
  pollMs?: number;
  /** How long generations outlive the last sign of the server, in milliseconds. */
  patienceMs?: number;
};

const POLL_MS = 2000;
const PATIENCE_MS = 30_000;

/**
 * An engine on another machine, or many: an OpenAI-compatible completions server. Prompts are rendered and tokenised here, so the
 * server needs no chat template and knows nothing of steering; it applies sampling and stops, and its count of tokens is the usage.
 *
 * It is watched: while it is away nothing is admitted, and what was in flight fails when its connection breaks, or when the server has
 * not been heard of for a while.
 */
export class RemoteEngine implements InferenceEngine {
  readonly holdsToFormats = true;
  readonly #limits: QueueLimits;
  readonly #server: RemoteServer;
  readonly #watch: RemoteWatch;
  readonly #inFlight = new Map<string, RemoteGeneration>();
  readonly #runs = new Set<Promise<void>>();
  readonly #loaded = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<string>();

  constructor(options: RemoteEngineOptions, limits: QueueLimits) {
    const { url, model, key, onLost = () => {}, pollMs = POLL_MS, patienceMs = PATIENCE_MS } = options;
    this.#limits = limits;
    this.#server = new RemoteServer(url, key);
    // Not everybody waits for it.
    this.#loaded.promise.catch(() => {});
    this.#watch = new RemoteWatch(this.#server, {
      model,
      pollMs,
      onFound: () => this.#loaded.resolve(),
      onAway: (reason) => {
        if (this.#watch.silence >= patienceMs) this.#loseAll(`The server is lost: ${reason}`);
      },
      onLost: (reason) => onLost(`${this.#server.name}: ${reason}`),
      onHopeless: (reason) => this.#stop(`The inference server at ${this.#server.name} cannot be used: ${reason}.`),
    });
  }

  get ready(): Promise<void> {
    return this.#loaded.promise;
  }

  get stopped(): Promise<string> {
    return this.#gone.promise;
  }

  get isReady(): boolean {
    return this.#watch.model !== null;
  }

  get running(): number {
    return [...this.#inFlight.values()].filter((generation) => generation.started).length;
  }

  get waiting(): number {
    return this.#inFlight.size - this.running;
  }

  get silence(): number {
    return this.#inFlight.size === 0 ? 0 : this.#watch.silence / 1000;
  }

  /**
   * Sends a generation to the server, without its priority: vLLM refuses one unless it was started to schedule by priority, which it
   * does not tell. What the server refuses is heard of by the listener, as a failed ending with the server's words.
   *
   * @throws AttuneError `worker_unavailable` while the server is away, `queue_full`, `context_length_exceeded`, `conflict`,
   * `deadline_exceeded` where its deadline has come, and `unsupported_parameter` for what the server would ignore
   */
  submit(request: GenerationRequest, listener: SequenceListener): void {
    const { model } = this.#watch;
    if (model === null) {
      throw new AttuneError("worker_unavailable", "The inference server cannot be reached. Try again shortly.");
    }
    if (this.#inFlight.has(request.id)) {
      throw new AttuneError("conflict", `Generation ${request.id} is in progress already.`);
    }
    refuseTooLong(model, request);
    const body = completionRequest(model, request);
    this.#refuseWhenFull(request.prompt.length);
    const now = monotonicNow();
    const { deadline = Number.POSITIVE_INFINITY } = request;
    if (deadline <= now) throw deadlineExceeded();
    const generation = new RemoteGeneration(request, listener, now);
    this.#inFlight.set(request.id, generation);
    const alarm = Number.isFinite(deadline) ? setTimeout(() => generation.expire(), deadline - now) : undefined;
    const run = this.#run(request, generation, body, listener).finally(() => {
      clearTimeout(alarm);
      this.#runs.delete(run);
    });
    this.#runs.add(run);
  }

  cancel(id: string): void {
    this.#inFlight.get(id)?.cancel();
  }

  inspect(): EngineState {
    const now = monotonicNow();
    const generations = [...this.#inFlight.values()];
    return {
      ready: this.isReady,
      device: null,
      silence_seconds: this.silence,
      queue: generations.filter(({ started }) => !started).map((generation) => generation.queuedState(now)),
      running: generations.filter(({ started }) => started).map((generation) => generation.runningState(now)),
      kv_pool: null,
      prefix_cache: null,
      last_step: null,
    };
  }

  async close(): Promise<void> {
    const reason = "this worker is closing";
    this.#loseAll(reason);
    this.#stop(reason);
    await Promise.all([this.#watch.close(), ...this.#runs]);
  }

  async #run(
    { id, sampling }: GenerationRequest,
    generation: RemoteGeneration,
    body: Record<string, unknown>,
    listener: SequenceListener,
  ): Promise<void> {
    const { signal } = generation;
    const chunks = this.#server.complete(body, { id, topLogprobs: sampling.logprobs ?? 0, signal });
    const ending = await generation.follow(this.#heard(chunks));
    this.#inFlight.delete(id);
    listener.onEnd(ending);
  }

  /** Notes every sign of the server, and at once when it cannot be reached any more. */
  async *#heard<Chunk>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
    try {
      for await (const chunk of chunks) {
        this.#watch.hear();
        yield chunk;
      }
    } catch (error) {
      if (isUnreachable(error)) this.#watch.lose(describe(error));
      throw error;
    }
  }

  #loseAll(reason: string): void {
    for (const generation of this.#inFlight.values()) generation.lose(reason);
  }

  #stop(reason: string): void {
    this.#loaded.reject(new Error(reason));
    this.#gone.resolve(reason);
  }

  #refuseWhenFull(promptTokens: number): void {
    const waiting = [...this.#inFlight.values()].filter((generation) => !generation.started);
    const tokens = waiting.reduce((total, generation) => total + generation.promptTokens, promptTokens);
    const { queuedRequests, queuedTokens } = this.#limits;
    if (waiting.length === 0 || (waiting.length < queuedRequests && tokens <= queuedTokens)) return;
    throw new AttuneError("queue_full", "The server is busy and its queue is full. Try again in a few seconds.");
  }
}

function refuseTooLong({ contextLength }: RemoteModel, { prompt, maxTokens }: GenerationRequest): void {
  if (contextLength === null || prompt.length + maxTokens <= contextLength) return;
  const message =
    `The inference server's context is ${contextLength} tokens. The messages take ${prompt.length} and the answer may take ` +
    `${maxTokens}. Shorten the messages or lower max_tokens.`;
  throw new AttuneError("context_length_exceeded", message, { param: "messages" });
}
