import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Logger } from "pino";
import { AttuneError, toAttuneError } from "../../schema/wire/errors.ts";
import { GENERATIONS_PATH, WORKER_MODELS_PATH } from "../../schema/wire/generate.ts";
import { READINESS_PATH, type Readiness } from "../../schema/wire/readiness.ts";
import { SCORE_PATH } from "../../schema/wire/score.ts";
import { answerAdmin } from "./adapter-admin.ts";
import type { AnswerMeasurer } from "./answer-measurer.ts";
import { Authenticator } from "./authenticator.ts";
import { readBody } from "./body.ts";
import { DEBUG_STATE_PATH, debugState } from "./debug-state.ts";
import { Generations } from "./generations.ts";
import { logFields } from "./log-fields.ts";
import type { Metrics } from "./metrics.ts";
import type { ModelHosts } from "./model-hosts.ts";
import { score } from "./score.ts";

/** Seconds, far above what a step takes: it reads at most 256 prompt tokens (serve.ts). */
const STUCK_AFTER = 60;

/** Seconds that an answer which is cut off at the end has to say so. */
const LAST_WORDS = 1;

/** Seconds a client should wait before it tries a busy or starting worker again. */
const RETRY_AFTER = 2;

type Exchange = { request: IncomingMessage; response: ServerResponse; body: string };

/** The inference worker's HTTP face. Health and metrics are open, everything else must be signed by the edge. */
export class WorkerServer {
  readonly #hosts: ModelHosts;
  readonly #measurer: AnswerMeasurer;
  readonly #metrics: Metrics;
  readonly #generations: Generations;
  readonly #authenticator: Authenticator;
  readonly #logger: Logger;
  readonly #stuckAfter: number;
  readonly #server: Server;
  /** Answers that are begun and not over. */
  readonly #answering = new Set<ServerResponse>();
  #draining = false;

  /** @param options.stuckAfter an engine that had work and said nothing for this many seconds is stuck */
  constructor(options: {
    hosts: ModelHosts;
    measurer: AnswerMeasurer;
    metrics: Metrics;
    secret: string;
    /** Accepted beside it, while edge and workers move from one to another. */
    otherSecret?: string | undefined;
    logger: Logger;
    stuckAfter?: number;
  }) {
    this.#hosts = options.hosts;
    this.#measurer = options.measurer;
    this.#stuckAfter = options.stuckAfter ?? STUCK_AFTER;
    this.#metrics = options.metrics;
    this.#logger = options.logger;
    this.#authenticator = new Authenticator(
      options.otherSecret === undefined ? [options.secret] : [options.secret, options.otherSecret],
    );
    this.#generations = new Generations(options.hosts, options.measurer, options.logger);
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

  /**
   * Takes no new generations, lets the running ones finish for up to `seconds`, then closes. Listens until then: who balances load is
   * told that it is not ready, and who asks all the same to ask another, where a closed port would say nothing.
   */
  async drain(seconds: number): Promise<void> {
    this.#draining = true;
    const deadline = setTimeout(() => this.#generations.shutDown(), seconds * 1000);
    // A stuck engine ends nothing, and a client may not read what it is sent.
    const patience = setTimeout(() => this.#server.closeAllConnections(), (seconds + LAST_WORDS) * 1000);
    await Promise.all([...this.#answering].map((response) => once(response, "close")));
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    await closed;
    clearTimeout(deadline);
    clearTimeout(patience);
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

  get #isStuck(): boolean {
    return this.#hosts.silence > this.#stuckAfter;
  }

  get #readiness(): Readiness["status"] {
    if (this.#draining) return "draining";
    if (this.#hosts.main.engine.current?.isReady !== true) return "loading";
    return this.#isStuck ? "stuck" : "ready";
  }

  /** @returns whether the path was one that needs no signature. */
  async #answerOpenly(method: string | undefined, path: string, response: ServerResponse): Promise<boolean> {
    if (method !== "GET") return false;
    if (path === "/healthz") {
      sendJson(response, this.#isStuck ? 503 : 200, { status: this.#isStuck ? "stuck" : "ok" });
    } else if (path === READINESS_PATH) {
      const status = this.#readiness;
      const readiness: Readiness = { status, load: this.#generations.load };
      sendJson(response, status === "ready" ? 200 : 503, readiness);
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
      if (this.#draining) throw shuttingDown();
      this.#answering.add(response);
      response.once("close", () => this.#answering.delete(response));
      await this.#generations.create(parseJson(body), response);
      return;
    }
    const cancelled = new RegExp(`^${GENERATIONS_PATH}/([0-9A-Za-z_]+)/cancel$`).exec(path)?.[1];
    if (request.method === "POST" && cancelled !== undefined) {
      sendJson(response, 200, await this.#generations.cancel(cancelled));
      return;
    }
    if (request.method === "POST" && this.#draining) throw shuttingDown();
    if (request.method === "POST" && path === SCORE_PATH) {
      await this.#answerScore(parseJson(body), response);
      return;
    }
    const administered = await answerAdmin(this.#hosts.adapters, request.method, path, () => parseJson(body));
    if (administered !== null) {
      sendJson(response, 200, administered);
      return;
    }
    throw new AttuneError("not_found", `There is no ${request.method} ${path} here.`);
  }

  async #answerScore(body: unknown, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    response.once("close", () => left.abort());
    const answer = await score(this.#hosts, this.#measurer, body, left.signal).catch((error: unknown) => {
      if (left.signal.aborted) return null;
      throw error;
    });
    // Nobody is left to hear it.
    if (answer !== null) sendJson(response, 200, answer);
  }

  #refuse(response: ServerResponse, thrown: unknown): void {
    const error = toAttuneError(thrown);
    if (error.status >= 500) this.#logger.error({ ...logFields(response.req), err: thrown }, "request failed");
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

const shuttingDown = () => new AttuneError("worker_unavailable", "This worker is shutting down. Try another.");

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
