import type { ServerResponse } from "node:http";
import type { Logger } from "pino";
import { AttuneError, invalidRequest } from "../../schema/wire/errors.ts";
import {
  COMPLETION_TOKENS_HEADER,
  type GenerateRequest,
  type GenerationReport,
  generateRequestSchema,
  PROMPT_TOKENS_HEADER,
} from "../../schema/wire/generate.ts";
import type { Ending } from "../engine/client.ts";
import { GenerationLog } from "./generation-log.ts";
import type { Metrics } from "./metrics.ts";
import { type ModelHost, toSequence } from "./model-host.ts";
import { type AnswerHead, OpenAiStream, openAiCompletion } from "./openai-dialect.ts";

/** Where an answer goes: piece by piece, or whole at its end. */
type Answer = {
  text(piece: string, completionTokens: number): void;
  end(ending: Ending): void;
};

const STATES = { finished: "completed", cancelled: "cancelled", failed: "failed" } as const;

/** Runs generations: admits, streams, cancels when the edge hangs up, and remembers what each used. */
export class Generations {
  readonly #host: ModelHost;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #log = new GenerationLog();

  constructor(host: ModelHost, metrics: Metrics, logger: Logger) {
    this.#host = host;
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /**
   * Answers a signed request on `response`. Returns once it is admitted and the head of the answer is on its way.
   *
   * @throws AttuneError before anything was written or computed.
   */
  create(body: unknown, response: ServerResponse): void {
    const parsed = generateRequestSchema.safeParse(body);
    if (!parsed.success) throw invalidRequest(parsed.error);
    const request = parsed.data;
    const sequence = toSequence(this.#host, request);
    const promptTokens = sequence.prompt.length;
    const head: AnswerHead = {
      generation: request.generation,
      model: request.model,
      created: Math.floor(Date.now() / 1000),
      promptTokens,
      steering: request.steering,
    };
    const answer = request.stream ? streamAnswer(response, head, request) : wholeAnswer(response, head);
    const clock = this.#clock(promptTokens);
    this.#host.engine.submit(sequence, {
      onStarted: () => {
        this.#log.run(request.generation);
        clock.started();
      },
      onText: (text, completionTokens) => {
        clock.token();
        if (text !== "") answer.text(text, completionTokens);
      },
      onEnd: (ending) => {
        this.#log.end(request.generation, STATES[ending.kind], ending.completionTokens);
        clock.ended(ending);
        this.#logger.info(
          { generation: request.generation, promptTokens, ...ending, kind: undefined, state: STATES[ending.kind] },
          "generation ended",
        );
        answer.end(ending);
      },
    });
    this.#log.begin(request.generation, promptTokens);
    response.setHeader(PROMPT_TOKENS_HEADER, promptTokens);
    if (request.stream) response.writeHead(200, STREAM_HEADERS).flushHeaders();
    // Also fires after a complete answer, when there is nothing left to cancel.
    response.on("close", () => this.#host.engine.cancel(request.generation));
    if (response.closed) this.#host.engine.cancel(request.generation);
  }

  /** Ends a generation and says what it used. @throws AttuneError `not_found` */
  async cancel(id: string): Promise<GenerationReport> {
    this.#host.engine.cancel(id);
    const report = await this.#log.report(id);
    if (report === null) throw new AttuneError("not_found", `No generation ${id} is known here.`);
    return report;
  }

  #clock(promptTokens: number) {
    const metrics = this.#metrics;
    const submitted = performance.now();
    let lastToken: number | null = null;
    const secondsSince = (then: number) => (performance.now() - then) / 1000;
    return {
      started() {
        metrics.queueTime.observe(secondsSince(submitted));
        metrics.promptTokens.inc(promptTokens);
      },
      token() {
        metrics.generationTokens.inc();
        if (lastToken === null) metrics.timeToFirstToken.observe(secondsSince(submitted));
        else metrics.interTokenLatency.observe(secondsSince(lastToken));
        lastToken = performance.now();
      },
      ended(ending: Ending) {
        metrics.requestLatency.observe(secondsSince(submitted));
        metrics.ended(ending.kind === "finished" ? ending.reason : ending.kind === "cancelled" ? "abort" : "error");
      },
    };
  }
}

const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

function failure(ending: Ending & { kind: "failed" }): AttuneError {
  return new AttuneError("generation_failed", "The model failed while it was answering. Send the request again.", {
    cause: ending.reason,
  });
}

function streamAnswer(response: ServerResponse, head: AnswerHead, request: GenerateRequest): Answer {
  const stream = new OpenAiStream(head, request.include_usage);
  return {
    text: (piece, completionTokens) => void response.write(stream.text(piece, completionTokens)),
    end(ending) {
      if (ending.kind === "finished") response.write(stream.finish(ending.reason, ending.completionTokens));
      else if (ending.kind === "failed") response.write(stream.fail(failure(ending), ending.completionTokens));
      response.end();
    },
  };
}

function wholeAnswer(response: ServerResponse, head: AnswerHead): Answer {
  let content = "";
  const send = (status: number, body: unknown, completionTokens: number) => {
    response.setHeader(COMPLETION_TOKENS_HEADER, completionTokens);
    response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
  };
  return {
    text: (piece) => {
      content += piece;
    },
    end(ending) {
      if (response.destroyed) return;
      if (ending.kind === "finished") {
        send(200, openAiCompletion(head, content, ending.reason, ending.completionTokens), ending.completionTokens);
        return;
      }
      const error =
        ending.kind === "failed"
          ? failure(ending)
          : new AttuneError("generation_failed", "The generation was cancelled.");
      send(error.status, error.toBody(), ending.completionTokens);
    },
  };
}
