import type { ServerResponse } from "node:http";
import type { Logger } from "pino";
import { AttuneError, invalidRequest } from "../../schema/wire/errors.ts";
import {
  type GenerateRequest,
  type GenerationReport,
  generateRequestSchema,
  PROMPT_TOKENS_HEADER,
} from "../../schema/wire/generate.ts";
import type { Ending, SequenceListener } from "../engine/inference-engine.ts";
import { answerWriter } from "./answer-writer.ts";
import { Arrivals } from "./arrivals.ts";
import { GenerationLog } from "./generation-log.ts";
import { Grammars } from "./grammars.ts";
import type { ModelMetrics } from "./metrics.ts";
import { type ModelHost, toGeneration } from "./model-host.ts";
import type { ModelHosts } from "./model-hosts.ts";
import type { AnswerHead } from "./openai-dialect.ts";
import { OpenAiLogprobs } from "./openai-logprobs.ts";
import { checkTokenIds } from "./token-ids.ts";

const STATES = { finished: "completed", cancelled: "cancelled", failed: "failed" } as const;

/** Runs generations: admits, streams, cancels when the edge hangs up, and remembers what each used. */
export class Generations {
  readonly #hosts: ModelHosts;
  readonly #logger: Logger;
  readonly #log = new GenerationLog();
  readonly #arrivals = new Arrivals(this.#log);
  readonly #logprobs: OpenAiLogprobs;
  readonly #grammars: Grammars;

  constructor(hosts: ModelHosts, logger: Logger) {
    this.#hosts = hosts;
    this.#logger = logger;
    // The weight sets of one worker share their tokenizer.
    this.#logprobs = new OpenAiLogprobs(hosts.main.tokenizer);
    this.#grammars = new Grammars(hosts.main.tokenizer);
  }

  /**
   * Answers a signed request on `response`. Returns once it is admitted and the head of the answer is on its way.
   *
   * @throws AttuneError before anything was written or computed.
   */
  async create(body: unknown, response: ServerResponse): Promise<void> {
    const parsed = generateRequestSchema.safeParse(body);
    if (!parsed.success) throw invalidRequest(parsed.error);
    const request = parsed.data;
    const host = this.#hosts.find(request.model);
    checkTokenIds(request.sampling, host.tokenizer.vocabSize);
    const sequence = toGeneration(host, request);
    const promptTokens = sequence.prompt.length;
    const head: AnswerHead = {
      generation: request.generation,
      model: request.model,
      created: Math.floor(Date.now() / 1000),
      promptTokens,
      steering: request.steering,
    };
    const answer = answerWriter(response, head, request);
    const clock = startClock(host.metrics, promptTokens);
    const preparing = this.#prepare(host, request);
    const prepared = await this.#arrivals.until(request.generation, preparing, response);
    if (prepared === null) {
      void preparing.then(
        ({ grammar }) => grammar?.close(),
        () => {},
      );
      response.destroy();
      return;
    }
    const { engine, grammar } = prepared;
    const listener: SequenceListener = {
      onStarted: (cachedTokens) => {
        this.#log.run(request.generation);
        clock.started(cachedTokens);
      },
      onText: (text, completionTokens, logprobs) => {
        clock.tokens(completionTokens);
        if (text === "" && logprobs.length === 0) return;
        const wanted = request.sampling.logprobs !== null;
        answer.text(text, completionTokens, wanted ? this.#logprobs.render(logprobs) : null);
      },
      onEnd: (ending) => {
        grammar?.close();
        this.#log.end(request.generation, STATES[ending.kind], ending.completionTokens);
        clock.ended(ending);
        this.#logger.info(
          {
            generation: request.generation,
            promptTokens,
            ...ending,
            kind: undefined,
            error: undefined,
            state: STATES[ending.kind],
          },
          "generation ended",
        );
        answer.end(ending);
      },
    };
    try {
      engine.submit(grammar === null ? sequence : { ...sequence, mask: grammar.mask }, listener);
    } catch (error) {
      grammar?.close();
      throw error;
    }
    this.#log.begin(request.generation, promptTokens);
    response.setHeader(PROMPT_TOKENS_HEADER, promptTokens);
    if (request.stream) response.writeHead(200, STREAM_HEADERS).flushHeaders();
    // Also fires after a complete answer, when there is nothing left to cancel.
    response.on("close", () => engine.cancel(request.generation));
    if (response.closed) engine.cancel(request.generation);
  }

  /** Waits for the weights, and for the grammar where the answer must follow one. */
  async #prepare(host: ModelHost, { sampling }: GenerateRequest) {
    const engine = await host.engine.forRequest();
    const format = sampling.response_format;
    const masked = format !== null && !engine.holdsToFormats;
    return { engine, grammar: masked ? await this.#grammars.open(format) : null };
  }

  /** Ends a generation and says what it used. @throws AttuneError `not_found` */
  async cancel(id: string): Promise<GenerationReport> {
    this.#arrivals.cancel(id);
    this.#hosts.cancel(id);
    const report = await this.#log.report(id);
    if (report === null) throw new AttuneError("not_found", `No generation ${id} is known here.`);
    return report;
  }
}

/** Measures one request from now on. */
function startClock(metrics: ModelMetrics, promptTokens: number) {
  const submitted = performance.now();
  let lastToken: number | null = null;
  let counted = 0;
  const secondsSince = (then: number) => (performance.now() - then) / 1000;
  return {
    started(cachedTokens: number) {
      metrics.queueTime.observe(secondsSince(submitted));
      metrics.promptTokens.inc(promptTokens);
      metrics.cachedTokens.inc(cachedTokens);
    },
    /** @param completionTokens so far; a remote engine may report several at once */
    tokens(completionTokens: number) {
      metrics.generationTokens.inc(completionTokens - counted);
      counted = completionTokens;
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

const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};
