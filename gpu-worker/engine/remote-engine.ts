import { setTimeout as delay } from "node:timers/promises";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { GenerationRequest } from "./generation.ts";
import type { InferenceEngine, QueueLimits, SequenceListener } from "./inference-engine.ts";
import { completionRequest } from "./remote/completion-request.ts";
import { RemoteGeneration } from "./remote/remote-generation.ts";
import { chooseModel, type RemoteModel, RemoteSetupError } from "./remote/remote-model.ts";
import { RemoteServer } from "./remote/remote-server.ts";
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

/** Longest wait for an answer to a question about health, in milliseconds: a busy server may be slow. */
const HEALTH_TIMEOUT = 10_000;

/**
 * An engine on another machine, or many: an OpenAI-compatible completions server. Prompts are rendered and tokenised here, so the
 * server needs no chat template and knows nothing of steering; it applies sampling and stops, and its count of tokens is the usage.
 *
 * It is watched: while it is away nothing is admitted, and what was in flight fails when its connection breaks, or when the server has
 * not been heard of for a while.
 */
export class RemoteEngine implements InferenceEngine {
  readonly holdsToFormats = true;
  readonly #options: RemoteEngineOptions;
  readonly #limits: QueueLimits;
  readonly #server: RemoteServer;
  readonly #inFlight = new Map<string, RemoteGeneration>();
  readonly #runs = new Set<Promise<void>>();
  readonly #loaded = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<string>();
  readonly #closing = new AbortController();
  readonly #watching: Promise<void>;
  /** `null` while the server cannot be used. */
  #model: RemoteModel | null = null;
  #lost = false;
  #lastSign = performance.now();

  constructor(options: RemoteEngineOptions, limits: QueueLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#server = new RemoteServer(options.url, options.key);
    // Not everybody waits for it.
    this.#loaded.promise.catch(() => {});
    this.#watching = this.#watch();
  }

  get ready(): Promise<void> {
    return this.#loaded.promise;
  }

  get stopped(): Promise<string> {
    return this.#gone.promise;
  }

  get isReady(): boolean {
    return this.#model !== null;
  }

  get running(): number {
    return [...this.#inFlight.values()].filter((generation) => generation.started).length;
  }

  get waiting(): number {
    return this.#inFlight.size - this.running;
  }

  get silence(): number {
    return this.#inFlight.size === 0 ? 0 : (performance.now() - this.#lastSign) / 1000;
  }

  /**
   * Sends a generation to the server. What the server refuses is heard of by the listener, as a failed ending with the server's words.
   *
   * @throws AttuneError `worker_unavailable` while the server is away, `queue_full`, `context_length_exceeded`, `conflict`, and
   * `unsupported_parameter` for what the server would ignore
   */
  submit(request: GenerationRequest, listener: SequenceListener): void {
    const model = this.#model;
    if (model === null) {
      throw new AttuneError("worker_unavailable", "The inference server cannot be reached. Try again shortly.");
    }
    if (this.#inFlight.has(request.id)) {
      throw new AttuneError("conflict", `Generation ${request.id} is in progress already.`);
    }
    refuseTooLong(model, request);
    const body = completionRequest(model, request);
    this.#refuseWhenFull(request.prompt.length);
    const generation = new RemoteGeneration(request.prompt.length, listener);
    this.#inFlight.set(request.id, generation);
    const run = this.#run(request, generation, body, listener).finally(() => this.#runs.delete(run));
    this.#runs.add(run);
  }

  cancel(id: string): void {
    this.#inFlight.get(id)?.cancel();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const reason = "this worker is closing";
    for (const generation of this.#inFlight.values()) generation.lose(reason);
    this.#loaded.reject(new Error(reason));
    this.#gone.resolve(reason);
    await Promise.all([this.#watching, ...this.#runs]);
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
        this.#lastSign = performance.now();
        yield chunk;
      }
    } catch (error) {
      if (isUnreachable(error)) this.#lose(describe(error));
      throw error;
    }
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#check(signal);
      await delay(this.#options.pollMs ?? POLL_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #check(closing: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([closing, AbortSignal.timeout(HEALTH_TIMEOUT)]);
    try {
      await this.#server.checkHealth(signal);
      // A server that was away may have come back with another model.
      if (this.#model === null) this.#found(chooseModel(await this.#server.listModels(signal), this.#options.model));
      this.#lastSign = performance.now();
    } catch (error) {
      if (closing.aborted) return;
      const reason = describe(error);
      this.#lose(reason);
      if (error instanceof RemoteSetupError) this.#giveUp(reason);
    }
  }

  #found(model: RemoteModel): void {
    this.#model = model;
    this.#lost = false;
    this.#loaded.resolve();
  }

  #lose(reason: string): void {
    this.#model = null;
    if (!this.#lost) this.#options.onLost?.(`${this.#options.url}: ${reason}`);
    this.#lost = true;
    if (performance.now() - this.#lastSign < (this.#options.patienceMs ?? PATIENCE_MS)) return;
    for (const generation of this.#inFlight.values()) generation.lose(`The server is lost: ${reason}`);
  }

  /** There is nothing to wait for. */
  #giveUp(reason: string): void {
    this.#closing.abort();
    const message = `The inference server at ${this.#options.url} cannot be used: ${reason}.`;
    this.#loaded.reject(new Error(message));
    this.#gone.resolve(message);
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
