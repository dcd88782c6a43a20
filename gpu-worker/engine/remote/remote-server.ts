import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { type CompletionChunk, readChunk } from "./completion-chunk.ts";
import { readEventData } from "./event-stream.ts";
import { RemoteSetupError } from "./remote-model.ts";
import { RemoteRefusal, readRefusal } from "./remote-refusal.ts";

type Call = { method: "GET" | "POST"; path: string; signal: AbortSignal; body?: unknown; id?: string };

/** Longest body of an error or a list of models that is read, in bytes. */
const LONGEST_BODY = 1 << 20;

/** When TCP asks whether a silent peer is still there, in milliseconds. */
const KEEP_ALIVE_AFTER = 30_000;

/**
 * HTTP to an OpenAI-compatible server. Not by `fetch`, which gives up on a server that is silent for five minutes: a request may wait
 * in the server's queue for longer. Every request has a connection of its own, because one that is used again may just be closing, and
 * because closing it is how a request is given up: llama.cpp was tried, vLLM's `AsyncLLM.generate` aborts (vllm-project/vllm#32442),
 * as do SGLang (sgl-project/sglang#457) and TensorRT-LLM (NVIDIA/TensorRT-LLM#3214).
 */
export class RemoteServer {
  readonly #base: URL;
  readonly #key: string | undefined;

  /** @param url of the server, with or without `/v1`; @param key sent as a bearer token */
  constructor(url: string, key?: string) {
    this.#base = new URL(`${url.replace(/\/+$/, "").replace(/\/v1$/, "")}/`);
    this.#key = key;
  }

  /** For logs: where it is, without a password that the URL may have. */
  get name(): string {
    return this.#base.origin + this.#base.pathname.replace(/\/$/, "");
  }

  /** @throws Error where the server cannot be reached or says that it is not well */
  async checkHealth(signal: AbortSignal): Promise<void> {
    const { status } = await this.#get("health", signal);
    // Not every server has the route; GET /v1/models answers for those.
    if (status >= 400 && status !== 404) throw new Error(`GET /health answers ${status}`);
  }

  /** The body of `GET /v1/models`. @throws RemoteSetupError where the key is not accepted */
  async listModels(signal: AbortSignal): Promise<unknown> {
    const { status, text } = await this.#get("v1/models", signal);
    if (status === 401 || status === 403) {
      throw new RemoteSetupError(`it answers ${status}. Name a variable that holds its key with --remote-key-env`);
    }
    if (status !== 200) throw new Error(`GET /v1/models answers ${status}`);
    return toJson(text);
  }

  /**
   * Streams a completion. Leaving the loop, or `signal`, closes the connection, by which the server knows to stop.
   *
   * @param id for the server's logs
   * @throws RemoteRefusal, or Error where the connection or the stream is broken
   */
  async *complete(
    body: Record<string, unknown>,
    { id, topLogprobs, signal }: { id: string; topLogprobs: number; signal: AbortSignal },
  ): AsyncGenerator<CompletionChunk> {
    const response = await this.#open({ method: "POST", path: "v1/completions", body, id, signal });
    try {
      if (response.statusCode !== 200) throw await refusalOf(response);
      for await (const data of readEventData(response)) {
        if (data === "[DONE]") return;
        yield readChunk(data, topLogprobs);
      }
    } finally {
      response.destroy();
    }
  }

  async #get(path: string, signal: AbortSignal): Promise<{ status: number; text: string }> {
    const response = await this.#open({ method: "GET", path, signal });
    return { status: response.statusCode ?? 0, text: await readText(response) };
  }

  #open({ method, path, signal, body, id }: Call): Promise<IncomingMessage> {
    const url = new URL(path, this.#base);
    const headers = {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(id === undefined ? {} : { "x-request-id": id }),
      ...(this.#key === undefined ? {} : { authorization: `Bearer ${this.#key}` }),
    };
    const open = url.protocol === "https:" ? requestHttps : requestHttp;
    return new Promise((resolve, reject) => {
      const request = open(url, { method, headers, signal, agent: false }, resolve);
      request.on("error", reject);
      request.setSocketKeepAlive(true, KEEP_ALIVE_AFTER);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

async function refusalOf(response: IncomingMessage): Promise<RemoteRefusal> {
  const status = response.statusCode ?? 0;
  const text = await readText(response);
  return new RemoteRefusal(readRefusal(toJson(text), status) ?? { status, type: null, message: `HTTP ${status}` });
}

async function readText(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response) {
    pieces.push(piece);
    size += piece.length;
    if (size > LONGEST_BODY) throw new Error("The server's answer is too long");
  }
  return Buffer.concat(pieces).toString();
}

/** `null` where the text is not JSON: a proxy's error page. */
function toJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
