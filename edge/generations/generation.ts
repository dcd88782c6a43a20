import { COMPLETION_TOKENS_HEADER, type GenerateRequest, PROMPT_TOKENS_HEADER } from "../../schema/wire/generate.ts";
import type { Admission, InferenceWorker } from "../upstreams/inference-worker.ts";
import type { Dialect } from "./dialect.ts";
import { EventScanner } from "./event-scanner.ts";
import { relayEvents } from "./relay.ts";

/** The worker answers a streamed request on admission, before any work. */
const ADMISSION_DEADLINE_MS = 30_000;
/** No generation takes longer, streamed or not. */
const GENERATION_DEADLINE_MS = 600_000;

/** A token count that the worker put in a header, or `null` where it did not. */
function readCount(headers: Headers, name: string): number | null {
  const text = headers.get(name);
  return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : null;
}

/**
 * One generation from its reservation to its settlement. However it ends (finished, refused, failed, or the client gone at any
 * moment), it is settled exactly once, on the worker's own count.
 */
export class Generation {
  /** Settles once it is settled; keeps the Worker alive until then, also after the client has gone. */
  readonly finished: Promise<void>;
  readonly #finish: () => void;
  readonly #request: GenerateRequest;
  readonly #worker: InferenceWorker;
  readonly #settleTokens: (tokens: number | null) => Promise<void>;
  readonly #abort = new AbortController();
  readonly #scanner = new EventScanner();
  #promptTokens: number | null = null;
  #over = false;

  /** @param settleTokens replaces the reserved tokens by those used; `null`: not known, the reservation stands */
  constructor(
    request: GenerateRequest,
    worker: InferenceWorker,
    settleTokens: (tokens: number | null) => Promise<void>,
  ) {
    this.#request = request;
    this.#worker = worker;
    this.#settleTokens = settleTokens;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
  }

  /**
   * Sends the request to the worker. From here on a client that goes away cancels it; `null` where it went before the worker
   * answered.
   *
   * @throws AttuneError `worker_unavailable`
   */
  async start(client: AbortSignal): Promise<Admission | null> {
    if (client.aborted) {
      void this.#settle(0);
      return null;
    }
    client.addEventListener("abort", () => void this.#cancel(), { once: true });
    const deadline = AbortSignal.timeout(GENERATION_DEADLINE_MS);
    const admissionDeadline = this.#request.stream
      ? setTimeout(() => this.#abort.abort(), ADMISSION_DEADLINE_MS)
      : null;
    try {
      const signal = AbortSignal.any([this.#abort.signal, deadline]);
      const admission = await this.#worker.generate(this.#request, signal);
      const headers = admission.admitted ? admission.response.headers : admission.headers;
      this.#promptTokens = readCount(headers, PROMPT_TOKENS_HEADER);
      if (!admission.admitted) void this.#settle(this.#total(readCount(headers, COMPLETION_TOKENS_HEADER)) ?? 0);
      return admission;
    } catch (error) {
      if (client.aborted) return null;
      void this.#settle(0);
      throw error;
    } finally {
      clearTimeout(admissionDeadline);
    }
  }

  /** The answer's bytes for the client: a stream of events in this dialect, or the finished JSON. */
  relay(response: Response, dialect: Dialect): ReadableStream<Uint8Array> {
    const source: ReadableStream<Uint8Array> = response.body ?? new Blob().stream();
    if (!this.#request.stream) {
      void this.#settle(this.#total(readCount(response.headers, COMPLETION_TOKENS_HEADER)));
      return source;
    }
    return relayEvents(source, this.#scanner, dialect, (ending) => {
      void (ending === "client" ? this.#cancel() : this.#settle(this.#usedSoFar()));
    });
  }

  #total(completionTokens: number | null): number | null {
    return this.#promptTokens === null || completionTokens === null ? null : this.#promptTokens + completionTokens;
  }

  #usedSoFar(): number | null {
    return this.#total(this.#scanner.lastFrame?.completionTokens ?? 0);
  }

  /** The client is gone: stop the worker and ask it for the true count; failing that, the last frame's stands. */
  async #cancel(): Promise<void> {
    if (this.#over) return;
    if (this.#scanner.ended) return this.#settle(this.#usedSoFar());
    this.#over = true;
    this.#abort.abort();
    const report = await this.#worker.cancel(this.#request.generation);
    await this.#record(report?.usage.total_tokens ?? this.#usedSoFar());
  }

  async #settle(tokens: number | null): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#record(tokens);
  }

  async #record(tokens: number | null): Promise<void> {
    const generation = this.#request.generation;
    try {
      if (tokens === null) console.error(JSON.stringify({ event: "usage_unknown", generation }));
      await this.#settleTokens(tokens);
    } catch (error) {
      console.error(JSON.stringify({ event: "settle_failed", generation, tokens, reason: String(error) }));
    }
    this.#finish();
  }
}
