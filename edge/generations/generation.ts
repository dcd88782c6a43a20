import { toAttuneError } from "../../schema/wire/errors.ts";
import { COMPLETION_TOKENS_HEADER, type GenerateRequest, PROMPT_TOKENS_HEADER } from "../../schema/wire/generate.ts";
import type { Admission, InferenceWorker } from "../upstreams/inference-worker.ts";
import { type GenerationEnding, tokensOf } from "../usage/usage-record.ts";
import type { Dialect } from "./dialect.ts";
import { EventScanner } from "./event-scanner.ts";
import { BROKEN_OFF, readEvents, relayEvents } from "./relay.ts";

/** The worker answers a streamed request on admission, before any work. */
const ADMISSION_DEADLINE_MS = 30_000;
/** No generation takes longer, streamed or not. */
const GENERATION_DEADLINE_MS = 600_000;

const NOTHING_USED = { promptTokens: 0, completionTokens: 0, firstByteAt: null };

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
  readonly #onEnd: (ending: GenerationEnding) => Promise<void>;
  readonly #abort = new AbortController();
  readonly #scanner = new EventScanner();
  #promptTokens: number | null = null;
  #answeredAt: number | null = null;
  #over = false;

  /** @param onEnd settles what was reserved, and records what became of it; called once */
  constructor(request: GenerateRequest, worker: InferenceWorker, onEnd: (ending: GenerationEnding) => Promise<void>) {
    this.#request = request;
    this.#worker = worker;
    this.#onEnd = onEnd;
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
      void this.#settle({ ...NOTHING_USED, state: "cancelled", error: null });
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
      this.#answeredAt = Date.now();
      if (!admission.admitted) {
        const completionTokens = readCount(headers, COMPLETION_TOKENS_HEADER) ?? 0;
        const error = admission.refusal.body.error.code;
        void this.#settle({
          state: "failed",
          error,
          promptTokens: this.#promptTokens ?? 0,
          completionTokens: this.#promptTokens === null ? 0 : completionTokens,
          firstByteAt: null,
        });
      }
      return admission;
    } catch (error) {
      if (client.aborted) return null;
      void this.#settle({ ...NOTHING_USED, state: "failed", error: toAttuneError(error).code });
      throw error;
    } finally {
      clearTimeout(admissionDeadline);
    }
  }

  /** The answer's bytes for the client: a stream of events in this dialect, or the finished JSON. */
  relay(response: Response, dialect: Dialect): ReadableStream<Uint8Array> {
    const source: ReadableStream<Uint8Array> = response.body ?? new Blob().stream();
    if (!this.#request.stream) {
      void this.#settle(this.#whole(response));
      return source;
    }
    return relayEvents(source, this.#scanner, { ...dialect, error: BROKEN_OFF }, (ending) => {
      void (ending === "client" ? this.#cancel() : this.#settle(this.#streamed()));
    });
  }

  /**
   * Hands the answer's bytes to `write` as they come, whoever waits for them: whole events, with an error in this dialect at the end where the
   * worker broke off, or the finished JSON. Nothing follows once the generation was cancelled.
   *
   * @throws what `write` throws; the generation is to be cancelled then
   */
  async receive(response: Response, dialect: Dialect, write: (bytes: Uint8Array) => void): Promise<void> {
    const source: ReadableStream<Uint8Array> = response.body ?? new Blob().stream();
    if (this.#request.stream) {
      for await (const events of readEvents(source, this.#scanner, { ...dialect, error: BROKEN_OFF })) {
        if (this.#over) return;
        write(events);
      }
      return this.#settle(this.#streamed());
    }
    const body = await new Response(source).bytes().catch(() => null);
    if (this.#over) return;
    if (body !== null) write(body);
    const ending = this.#whole(response);
    return this.#settle(body === null ? { ...ending, state: "failed", error: "generation_failed" } : ending);
  }

  /** The worker's count; `null` where it is not known yet. */
  get promptTokens(): number | null {
    return this.#promptTokens;
  }

  /** The ending of an answer that came whole. */
  #whole({ headers }: Response): GenerationEnding {
    return {
      state: "completed",
      error: null,
      promptTokens: this.#promptTokens,
      completionTokens: readCount(headers, COMPLETION_TOKENS_HEADER),
      firstByteAt: this.#answeredAt,
    };
  }

  /** The ending of a stream, as far as it came. */
  #streamed(): GenerationEnding {
    const { ended, failed, lastFrame, firstFrameAt } = this.#scanner;
    const completed = ended && !failed;
    return {
      state: completed ? "completed" : "failed",
      error: completed ? null : "generation_failed",
      promptTokens: this.#promptTokens,
      completionTokens: lastFrame?.completionTokens ?? 0,
      firstByteAt: firstFrameAt,
    };
  }

  /** The client is gone: stop the worker and ask it for the true count; failing that, the last frame's stands. */
  async #cancel(): Promise<void> {
    if (this.#over) return;
    const sofar = this.#streamed();
    if (this.#scanner.ended) return this.#settle(sofar);
    this.#over = true;
    this.#abort.abort();
    const report = await this.#worker.cancel(this.#request.generation);
    await this.#record({
      ...sofar,
      state: "cancelled",
      error: null,
      ...(report !== null && {
        promptTokens: report.usage.prompt_tokens,
        completionTokens: report.usage.completion_tokens,
      }),
    });
  }

  async #settle(ending: GenerationEnding): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#record(ending);
  }

  async #record(ending: GenerationEnding): Promise<void> {
    const generation = this.#request.generation;
    const tokens = tokensOf(ending);
    this.#worker.release(generation);
    try {
      if (tokens === null) console.error(JSON.stringify({ event: "usage_unknown", generation }));
      await this.#onEnd(ending);
    } catch (error) {
      console.error(JSON.stringify({ event: "settle_failed", generation, tokens, reason: String(error) }));
    }
    this.#finish();
  }
}
