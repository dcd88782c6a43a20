import { ChatStream } from "./chat-stream.ts";
import type { components } from "./document.ts";
import type { Input, Method, Output, PathOf } from "./paths.ts";
import { type AttuneOptions, type Parts, Requester, type RequestOptions } from "./request.ts";

export { type ChatCompletionChunk, ChatStream, type StreamedChoice } from "./chat-stream.ts";
export { AttuneError, type ErrorCode } from "./error.ts";
export type { AttuneOptions, RequestOptions } from "./request.ts";

/** Everything that requests and answers are made of, by the names of the OpenAPI document. */
export type Schemas = components["schemas"];

type ChatRequest = Schemas["ChatRequest"];
type Body<P extends PathOf<M>, M extends Method> = Input<P, M> extends { body?: infer B } ? B : never;

/**
 * A client of Attune's API, typed by its OpenAPI document.
 *
 *     const attune = new Attune({ apiKey, baseURL: "https://api.example.com" });
 *     const stream = await attune.chat.stream({ model: "smollm2-135m", messages, steer: { attributes: { verbosity: 1 } } });
 *     for await (const text of stream.texts()) process.stdout.write(text);
 *     console.log(stream.steer?.effective);
 *
 * Every method throws {@link AttuneError}, or the reason of the `signal` that was aborted.
 */
export class Attune {
  readonly #requester: Requester;

  constructor(options: AttuneOptions) {
    this.#requester = new Requester(options);
  }

  /** Any operation of the document, by its method and path. */
  request<M extends Method, P extends PathOf<M>>(
    method: M,
    path: P,
    parts: Input<P, M> & Parts,
    options?: RequestOptions,
  ): Promise<Output<P, M>> {
    return this.#requester.json(method, path, parts, options);
  }

  readonly chat = {
    /** A whole answer. */
    create: (body: Omit<ChatRequest, "stream">, options?: RequestOptions) =>
      this.request("post", "/v1/chat/completions", { body: { ...body, stream: false } }, options),
    /** An answer as it is written. Leaving its loop, or aborting `signal`, cancels the generation. */
    stream: async (body: Omit<ChatRequest, "stream">, options?: RequestOptions) =>
      new ChatStream(
        await this.#requester.send("post", "/v1/chat/completions", { body: { ...body, stream: true } }, options),
        options?.signal,
      ),
  };

  readonly generations = {
    /** How it went, and what it used. */
    get: (id: string, options?: RequestOptions) =>
      this.request("get", "/v1/generations/{id}", { path: { id } }, options),
    /**
     * Goes on with the stream of a chat completion that was asked for with `resumable` or `store`.
     *
     * @param lastEventId what {@link ChatStream.lastEventId} says; without it, from the start
     */
    resume: async (id: string, lastEventId: string | null = null, options: RequestOptions = {}) => {
      const headers = { ...options.headers, ...(lastEventId !== null && { "last-event-id": lastEventId }) };
      const parts = { path: { id } };
      const response = await this.#requester.send("get", "/v1/generations/{id}/events", parts, { ...options, headers });
      return new ChatStream(response, options.signal);
    },
    cancel: (id: string, options?: RequestOptions) =>
      this.request("post", "/v1/generations/{id}/cancel", { path: { id } }, options),
    /** Deletes what is kept of its answer. */
    delete: (id: string, options?: RequestOptions) =>
      this.request("delete", "/v1/generations/{id}", { path: { id } }, options),
  };

  readonly models = {
    list: (options?: RequestOptions) => this.request("get", "/v1/models", {}, options),
    get: (id: string, options?: RequestOptions) => this.request("get", "/v1/models/{id}", { path: { id } }, options),
    calibration: (id: string, options?: RequestOptions) =>
      this.request("get", "/v1/models/{id}/calibration", { path: { id } }, options),
  };

  readonly attributes = {
    list: (options?: RequestOptions) => this.request("get", "/v1/attributes", {}, options),
    /** Measures finished answers. */
    score: (body: Body<"/v1/attributes/score", "post">, options?: RequestOptions) =>
      this.request("post", "/v1/attributes/score", { body }, options),
    /** The levels that give answers like this one. */
    match: (body: Body<"/v1/attributes/match", "post">, options?: RequestOptions) =>
      this.request("post", "/v1/attributes/match", { body }, options),
  };

  readonly presets = {
    list: (options?: RequestOptions) => this.request("get", "/v1/presets", {}, options),
    get: (slug: string, options?: RequestOptions) =>
      this.request("get", "/v1/presets/{slug}", { path: { slug } }, options),
    create: (body: Schemas["PresetRequest"], options?: RequestOptions) =>
      this.request("post", "/v1/presets", { body }, options),
    /** Publishes a new version. */
    update: (slug: string, body: Schemas["PresetUpdate"], options?: RequestOptions) =>
      this.request("put", "/v1/presets/{slug}", { path: { slug }, body }, options),
    delete: (slug: string, options?: RequestOptions) =>
      this.request("delete", "/v1/presets/{slug}", { path: { slug } }, options),
  };

  readonly limits = {
    get: (options?: RequestOptions) => this.request("get", "/v1/limits", {}, options),
    /** What the limits would say of a chat request, or of so many tokens. */
    check: (body: Body<"/v1/limits/check", "post">, options?: RequestOptions) =>
      this.request("post", "/v1/limits/check", { body }, options),
  };
}
