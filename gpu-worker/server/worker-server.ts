import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Logger } from "pino";
import { AttuneError, toAttuneError } from "../../schema/wire/errors.ts";
import { GENERATIONS_PATH, WORKER_MODELS_PATH } from "../../schema/wire/generate.ts";
import { Authenticator } from "./authenticator.ts";
import { readBody } from "./body.ts";
import { DEBUG_STATE_PATH, debugState } from "./debug-state.ts";
import { Generations } from "./generations.ts";
import type { Metrics } from "./metrics.ts";
import type { ModelHosts } from "./model-hosts.ts";

/** An engine that had work and said nothing for this many seconds is stuck. */
const STUCK_AFTER = 60;

/** Seconds a client should wait before it tries a busy or starting worker again. */
const RETRY_AFTER = 2;

type Exchange = { request: IncomingMessage; response: ServerResponse; body: string };

/** The inference worker's HTTP face. Health and metrics are open, everything else must be signed by the edge. */
export class WorkerServer {
  readonly #hosts: ModelHosts;
  readonly #metrics: Metrics;
  readonly #generations: Generations;
  readonly #authenticator: Authenticator;
  readonly #logger: Logger;
  readonly #server: Server;
  #draining = false;

  constructor(options: { hosts: ModelHosts; metrics: Metrics; secret: string; logger: Logger }) {
    this.#hosts = options.hosts;
    this.#metrics = options.metrics;
    this.#logger = options.logger;
    this.#authenticator = new Authenticator(options.secret);
    this.#generations = new Generations(options.hosts, options.logger);
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** @returns the origin it listens on. */
  async listen(port: number, host: string): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("The server has no port");
    const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return `http://${name}:${address.port}`;
  }

  /** Takes no new generations, lets the running ones finish for up to `seconds`, then closes. */
  async drain(seconds: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const deadline = setTimeout(() => this.#server.closeAllConnections(), seconds * 1000);
    await closed;
    clearTimeout(deadline);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
      if (await this.#answerOpenly(request.method, path, response)) return;
      const body = await readBody(request);
      await this.#authenticator.check(request, body);
      await this.#answerSigned(path, { request, response, body });
    } catch (thrown) {
      this.#refuse(response, thrown);
    }
  }

  /** @returns whether the path was one that needs no signature. */
  async #answerOpenly(method: string | undefined, path: string, response: ServerResponse): Promise<boolean> {
    if (method !== "GET") return false;
    if (path === "/healthz") {
      const stuck = this.#hosts.silence > STUCK_AFTER;
      sendJson(response, stuck ? 503 : 200, { status: stuck ? "stuck" : "ok" });
    } else if (path === "/readyz") {
      const ready = this.#hosts.main.engine.current?.isReady === true && !this.#draining;
      sendJson(response, ready ? 200 : 503, { status: this.#draining ? "draining" : ready ? "ready" : "loading" });
    } else if (path === "/metrics") {
      const text = await this.#metrics.render();
      response.writeHead(200, { "content-type": this.#metrics.contentType }).end(text);
    } else return false;
    return true;
  }

  async #answerSigned(path: string, { request, response, body }: Exchange): Promise<void> {
    if (request.method === "GET" && path === WORKER_MODELS_PATH) {
      sendJson(response, 200, { data: this.#hosts.models });
      return;
    }
    if (request.method === "GET" && path === DEBUG_STATE_PATH) {
      sendJson(response, 200, debugState(this.#hosts, this.#draining));
      return;
    }
    if (request.method === "POST" && path === GENERATIONS_PATH) {
      if (this.#draining) throw new AttuneError("worker_unavailable", "This worker is shutting down. Try another.");
      await this.#generations.create(parseJson(body), response);
      return;
    }
    const cancelled = new RegExp(`^${GENERATIONS_PATH}/([0-9A-Za-z_]+)/cancel$`).exec(path)?.[1];
    if (request.method === "POST" && cancelled !== undefined) {
      sendJson(response, 200, await this.#generations.cancel(cancelled));
      return;
    }
    throw new AttuneError("not_found", `There is no ${request.method} ${path} here.`);
  }

  #refuse(response: ServerResponse, thrown: unknown): void {
    const error = toAttuneError(thrown);
    if (error.status >= 500) this.#logger.error({ err: thrown }, "request failed");
    this.#metrics.refused.inc({ code: error.code });
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error.code === "queue_full" || error.code === "worker_unavailable")
      response.setHeader("retry-after", RETRY_AFTER);
    sendJson(response, error.status, error.toBody());
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new AttuneError("invalid_request", "The body is not JSON.");
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}
