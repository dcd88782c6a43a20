import { AttuneError, toError } from "./error.ts";
import { parseJson, trusted } from "./json.ts";
import type { Input, Method, Output, PathOf } from "./paths.ts";
import { type Failure, waitBeforeRetry } from "./retry.ts";

export type AttuneOptions = {
  /** A secret key or a session's token; a function is asked before each try. */
  apiKey: string | (() => string | Promise<string>);
  /** Where the API is, as `https://api.example.com`; with or without `/v1` at its end. */
  baseURL?: string;
  /** How often a failed request is made again; 2 unless said. */
  maxRetries?: number;
  /** Sent with each request. */
  headers?: Record<string, string>;
  /** Used in place of the platform's own. */
  fetch?: typeof globalThis.fetch;
};

/** What one request may say for itself. */
export type RequestOptions = {
  /** Gives the request up, its waits included; a stream's generation is cancelled. */
  signal?: AbortSignal;
  headers?: Record<string, string>;
  maxRetries?: number;
};

/** What fills a path, follows it, and is sent. */
export type Parts = { path?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown };

const LOCAL = "http://127.0.0.1:8787";

/** Reading, and what computes an answer from the request alone: twice the work at worst. */
const REPEATABLE = /^\/v1\/(chat\/|responses$|attributes\/|limits\/)/;

function toUrl(baseURL: string, path: string, { path: values = {}, query = {} }: Parts): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
  const search = new URLSearchParams(
    Object.entries(query).flatMap(([name, value]): [string, string][] =>
      value == null ? [] : [[name, String(value)]],
    ),
  );
  return baseURL + filled + (search.size > 0 ? `?${search}` : "");
}

/** Resolves after so long; rejects with the signal's reason where that comes first. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted === true) return abort();
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Makes requests: address, key, tries, errors. */
export class Requester {
  readonly #apiKey: AttuneOptions["apiKey"];
  readonly #baseURL: string;
  readonly #maxRetries: number;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof globalThis.fetch;

  constructor({ apiKey, baseURL = LOCAL, maxRetries = 2, headers = {}, fetch = globalThis.fetch }: AttuneOptions) {
    if (!URL.canParse(baseURL)) throw new TypeError(`baseURL is ${JSON.stringify(baseURL)}, which is no address.`);
    this.#apiKey = apiKey;
    this.#baseURL = baseURL.replace(/\/+$/, "").replace(/\/v1$/, "");
    this.#maxRetries = maxRetries;
    this.#headers = headers;
    // Browsers refuse to be called with another `this`.
    this.#fetch = (input, init) => fetch(input, init);
  }

  /**
   * The answer of the first try that succeeds.
   *
   * @throws AttuneError for any other; the signal's reason where it was aborted
   */
  async send(method: Method, path: string, parts: Parts = {}, options: RequestOptions = {}): Promise<Response> {
    const { signal, maxRetries = this.#maxRetries } = options;
    const isRepeatable = method === "get" || REPEATABLE.test(path);
    for (let tries = 1; ; tries += 1) {
      const outcome = await this.#try(method, toUrl(this.#baseURL, path, parts), parts.body, options);
      if (outcome instanceof Response && outcome.ok) return outcome;
      signal?.throwIfAborted();
      const failure: Failure = outcome instanceof Response ? outcome : null;
      const wait = tries > maxRetries ? null : waitBeforeRetry(failure, tries, isRepeatable, Math.random());
      if (wait === null) throw outcome instanceof Response ? await toError(outcome) : outcome;
      if (outcome instanceof Response) await outcome.body?.cancel().catch(() => {});
      await pause(wait, signal);
    }
  }

  async #try(method: Method, url: string, body: unknown, options: RequestOptions): Promise<Response | AttuneError> {
    const key = typeof this.#apiKey === "function" ? await this.#apiKey() : this.#apiKey;
    const headers = {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { "content-type": "application/json" }),
      ...this.#headers,
      ...options.headers,
    };
    try {
      return await this.#fetch(url, {
        method: method.toUpperCase(),
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(options.signal !== undefined && { signal: options.signal }),
      });
    } catch (cause) {
      const message = `There is no reaching ${new URL(url).origin}. Check baseURL and the network.`;
      return new AttuneError(message, { code: "connection_failed", cause });
    }
  }

  /** The same, with the answer's JSON, typed by the document. */
  async json<M extends Method, P extends PathOf<M>>(
    method: M,
    path: P,
    parts: Input<P, M> & Parts,
    options: RequestOptions = {},
  ): Promise<Output<P, M>> {
    const response = await this.send(method, path, parts, options);
    const body = parseJson(await response.text());
    if (body !== undefined) return trusted(body);
    const details = { status: response.status, requestId: response.headers.get("x-request-id") };
    throw new AttuneError("The server's answer is no JSON. Check baseURL.", { ...details, code: "unreadable" });
  }
}
