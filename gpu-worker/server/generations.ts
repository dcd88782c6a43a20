import type { ServerResponse } from "node:http";
import type { Logger } from "pino";
import { AttuneError, invalidRequest } from "../../schema/wire/errors.ts";
import {
  choicesOf,
  type GenerateRequest,
  type GenerationReport,
  generateRequestSchema,
  PROMPT_TOKENS_HEADER,
} from "../../schema/wire/generate.ts";
import type { Readiness } from "../../schema/wire/readiness.ts";
import { monotonicNow } from "../engine/clock.ts";
import type { AnswerHead } from "./answer-head.ts";
import type { AnswerMeasurer } from "./answer-measurer.ts";
import { answerWriter } from "./answer-writer.ts";
import { Arrivals } from "./arrivals.ts";
import { ChoiceMeasurements } from "./choice-measurements.ts";
import { type Choice, Choices, type ChoicesEnding, type ChoicesListener, countPromptTokens } from "./choices.ts";
import { GenerationLog } from "./generation-log.ts";
import { Grammars, type OpenGrammar } from "./grammars.ts";
import { logFields } from "./log-fields.ts";
import { type ModelHost, toGenerations } from "./model-host.ts";
import type { ModelHosts } from "./model-hosts.ts";
import { noModerator } from "./moderate.ts";
import { OpenAiLogprobs } from "./openai-logprobs.ts";
import { requestClock } from "./request-clock.ts";
import type { ResidentAdapter } from "./resident-adapter.ts";
import { beforeDeadline, schedulingOf } from "./scheduling.ts";
import { checkTokenIds } from "./token-ids.ts";

/** How long the end of an answer waits for what is measured of it. */
const MEASURE_MS = 20_000;
/** And for what moderation says, of which no deadline lets it off: loading the model and reading a long answer take minutes on a busy machine. */
const MODERATE_MS = 120_000;

const STATES = { finished: "completed", cancelled: "cancelled", failed: "failed" } as const;

/** Runs generations: admits, streams, cancels when the edge hangs up, and remembers what each used. */
export class Generations {
  readonly #hosts: ModelHosts;
  readonly #logger: Logger;
  readonly #log = new GenerationLog();
  readonly #arrivals = new Arrivals(this.#log);
  readonly #inFlight = new Map<string, Choices>();
  /** The most tokens that each of them may take. */
  readonly #tokens = new Map<string, number>();
  readonly #logprobs: OpenAiLogprobs;
  readonly #grammars: Grammars;
  readonly #measurer: AnswerMeasurer;
  /** Ends what finished answers still wait to have measured. */
  readonly #stopping = new AbortController();

  constructor(hosts: ModelHosts, measurer: AnswerMeasurer, logger: Logger) {
    this.#hosts = hosts;
    this.#measurer = measurer;
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
    const host = this.#hosts.find(parsed.data.model);
    // Until its choices, if it comes to them, hold the adapter themselves.
    const release = host.adapter?.lease() ?? (() => {});
    try {
      await this.#admit(parsed.data, host, response);
    } finally {
      release();
    }
  }

  async #admit(request: GenerateRequest, host: ModelHost, response: ServerResponse): Promise<void> {
    const { moderation } = request;
    if (moderation?.mode === "block" && !this.#measurer.readsToxicity) throw noModerator();
    if (moderation !== undefined) this.#measurer.warmUp();
    checkTokenIds(request.sampling, host.tokenizer.vocabSize);
    const scheduling = schedulingOf(request, monotonicNow());
    const generations = toGenerations(host, request).map((generation) => ({ ...generation, ...scheduling }));
    const promptTokens = countPromptTokens(generations.map(({ prompt }) => prompt));
    const head: AnswerHead = {
      generation: request.generation,
      model: request.model,
      created: Math.floor(Date.now() / 1000),
      promptTokens,
      steering: request.steering,
      fanOut: request.fan_out ?? null,
      serviceTier: request.service_tier ?? null,
    };
    const answer = answerWriter(response, head, request);
    const logger = this.#logger.child(logFields(response.req));
    const timed = generations.map((generation) => {
      return { generation, clock: requestClock(host.metrics, generation) };
    });
    const left = new AbortController();
    response.on("close", () => left.abort());
    const preparing = this.#prepare(host, request, left.signal);
    const prepared = await this.#arrivals
      .until(request.generation, beforeDeadline(preparing, request.deadline_ms), response)
      .catch((error: unknown) => {
        discard(preparing);
        throw error;
      });
    if (prepared === null) {
      discard(preparing);
      for (const { clock } of timed) clock.onEnd({ kind: "cancelled", completionTokens: 0 });
      logEnd(logger, request.generation, 0, { kind: "cancelled", completionTokens: 0 });
      left.abort();
      response.destroy();
      return;
    }
    const { engine, grammars } = prepared;
    const measurements = this.#measurementsOf(request, host, logger, left.signal, scheduling.deadline);
    const listener: ChoicesListener = {
      onStarted: () => this.#log.run(request.generation),
      onText: (index, text, completionTokens, logprobs) => {
        if (text === "" && logprobs.length === 0) return;
        measurements?.text(index, text);
        const wanted = request.sampling.logprobs !== null;
        answer.text({ index, text, logprobs: wanted ? this.#logprobs.render(logprobs) : null }, completionTokens);
      },
      onFinish: (index, reason, completionTokens) => {
        measurements?.finish(index);
        answer.finish(index, reason, completionTokens);
      },
      onEnd: (ending) => {
        this.#inFlight.delete(request.generation);
        this.#tokens.delete(request.generation);
        if (ending.kind === "finished") host.metrics.choices.observe(generations.length);
        this.#log.end(request.generation, STATES[ending.kind], ending.completionTokens);
        logEnd(logger, request.generation, promptTokens, ending);
        if (ending.kind !== "finished" || measurements === null) answer.end(ending, null);
        else {
          void measurements.all().then((measured) => {
            for (const { moderation: verdict } of measured) {
              if (verdict != null) host.metrics.moderated(verdict.flagged ? "flagged" : "passed");
            }
            answer.end(ending, measured);
          });
        }
      },
    };
    const choices = new Choices(
      engine,
      timed.map((choice, index) => holding(choice, grammars[index], host.adapter)),
      listener,
    );
    choices.submit();
    this.#inFlight.set(request.generation, choices);
    this.#tokens.set(request.generation, promptTokens + sumOf(generations, ({ maxTokens }) => maxTokens));
    this.#log.begin(request.generation, promptTokens);
    response.setHeader(PROMPT_TOKENS_HEADER, promptTokens);
    if (request.stream) response.writeHead(200, STREAM_HEADERS).flushHeaders();
    // Also fires after a complete answer, when there is nothing left to cancel.
    response.on("close", () => choices.cancel());
    if (response.closed) choices.cancel();
  }

  /** Waits for the weights and the adapter, and for a grammar for each choice where they must follow one: all get theirs, or none does. */
  async #prepare(host: ModelHost, request: GenerateRequest, left: AbortSignal) {
    const [engine] = await Promise.all([host.engine.forRequest(left), host.adapter?.forRequest(left)]);
    const format = request.sampling.response_format;
    const masked = format !== null && !engine.holdsToFormats;
    const grammars = masked ? await Promise.all(choicesOf(request).map(() => this.#grammars.open(format))) : [];
    return { engine, grammars };
  }

  /**
   * What has the answers measured, and moderated; `null` where neither was asked for. Measuring is part of what the deadline is for, moderation
   * is not.
   */
  #measurementsOf(
    request: GenerateRequest,
    host: ModelHost,
    logger: Logger,
    left: AbortSignal,
    deadline = Number.POSITIVE_INFINITY,
  ): ChoiceMeasurements | null {
    const { measure, moderation, messages, generation } = request;
    if (measure !== true && moderation === undefined) return null;
    return new ChoiceMeasurements(
      choicesOf(request).length,
      { measure, moderation },
      async (answer) => {
        const time = moderation === undefined ? Math.min(MEASURE_MS, deadline - monotonicNow()) : MODERATE_MS;
        if (time <= 0) throw new DOMException("The deadline has come", "TimeoutError");
        const signal = AbortSignal.any([left, this.#stopping.signal, AbortSignal.timeout(Math.ceil(time))]);
        const parts = moderation === undefined ? [] : this.#measurer.partsNotRead(host.tokenizer, answer);
        const answers = [answer, ...parts].map((part) => ({ messages, answer: part }));
        const scored = await this.#measurer.measure(answers, host.model.profile, signal);
        host.metrics.measured("measured");
        return scored.map(({ attributes }) => attributes);
      },
      (error) => {
        host.metrics.measured(left.aborted ? "abort" : "error");
        if (!left.aborted) logger.warn({ err: error, generation }, "answer not measured");
      },
    );
  }

  /** What it was given to do and has not done: prompts, and answers as long as they may become. */
  get load(): Readiness["load"] {
    return { generations: this.#tokens.size, tokens: sumOf([...this.#tokens.values()], (tokens) => tokens) };
  }

  /** Has all that run fail, for the worker stops. */
  shutDown(): void {
    const message = "The server is shutting down and had to end this answer. Send the request again.";
    const error = new AttuneError("worker_unavailable", message);
    for (const choices of this.#inFlight.values()) choices.fail("the worker was stopped", error);
    this.#stopping.abort(new AttuneError("worker_unavailable", "The server is shutting down."));
  }

  /** Ends a generation and says what it used. @throws AttuneError `not_found` */
  async cancel(id: string): Promise<GenerationReport> {
    this.#arrivals.cancel(id);
    this.#inFlight.get(id)?.cancel();
    const report = await this.#log.report(id);
    if (report === null) throw new AttuneError("not_found", `No generation ${id} is known here.`);
    return report;
  }
}

function logEnd(logger: Logger, generation: string, promptTokens: number, ending: ChoicesEnding): void {
  const state = STATES[ending.kind];
  logger.info({ generation, promptTokens, ...ending, kind: undefined, error: undefined, state }, "generation ended");
}

const sumOf = <T>(items: readonly T[], count: (item: T) => number) => items.reduce((sum, item) => sum + count(item), 0);

/** A choice with what it holds while the engine has it: the grammar that it must follow, and the adapter that it computes with. */
function holding(
  { generation, clock }: Omit<Choice, "release">,
  grammar: OpenGrammar | undefined,
  adapter: ResidentAdapter | undefined,
): Choice {
  const release = adapter?.lease();
  return {
    generation: { ...generation, ...(grammar !== undefined && { mask: grammar.mask }) },
    clock,
    release: () => {
      grammar?.close();
      release?.();
    },
  };
}

/** Frees what nobody waits for any more, once it is there. */
function discard(preparing: Promise<{ grammars: OpenGrammar[] }>): void {
  preparing.then(
    ({ grammars }) => {
      for (const { close } of grammars) close();
    },
    () => {},
  );
}

const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};
