import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { StepReport } from "../engine/engine.ts";
import type { EngineState } from "../engine/engine-state.ts";
import type { AdapterState } from "./resident-adapter.ts";
import type { WeightSet } from "./weight-set.ts";

/** What is counted for one model. */
export type ModelMetrics = ReturnType<Metrics["of"]>;

/** How one answer ended. */
export type FinishedReason = "stop" | "length" | "abort" | "error";

/** Whether a deadline came before the answer was begun, or while it was. */
type DeadlineStage = "waiting" | "generating";

/** Whether what was to be measured of an answer was; its client had gone; or it could not be, which the answer says. */
type MeasureOutcome = "measured" | "abort" | "error";
/** Whether an answer that was moderated is above the level. */
type ModerationOutcome = "passed" | "flagged";

/** What is asked of a model whenever the metrics are read. `engine` is `null` while its weights are not loaded. */
export type ModelSource = { engine: () => EngineState | null; weights: WeightSet };

/** As vLLM labels its own; a model has one engine, and vLLM counts engines from 0. */
type ModelLabels = { model_name: string; engine: string };
const LABELS = ["model_name", "engine"];

/** Each twice the one before, and finer than vLLM's at the lower end: small models are fast. */
const TOKENS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];
const TOKEN_SECONDS = [
  0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5,
];
const REQUEST_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600,
];
const CHOICES = [1, 2, 4, 8, 16];

/**
 * Prometheus metrics, under vLLM's names where the meaning is vLLM's. All that is about a model has vLLM's labels. Of a request with
 * several choices each counts by itself, as in vLLM.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #sources: (ModelSource & { labels: ModelLabels })[] = [];
  readonly #promptTokens = this.#counter("vllm:prompt_tokens", "Prompt tokens of answers that were begun.");
  readonly #cachedTokens = this.#counter("vllm:prompt_tokens_cached", "Those of them that need not be computed.");
  readonly #prefixQueries = this.#counter("vllm:prefix_cache_queries", "Tokens looked for in the prefix cache.");
  readonly #prefixHits = this.#counter("vllm:prefix_cache_hits", "Tokens found in the prefix cache.");
  readonly #generationTokens = this.#counter("vllm:generation_tokens", "Tokens generated.");
  readonly #labelLines = this.#counter("attune:label_line_requests", "Answers begun whose prompt has a label line.");
  readonly #labelLineHits = this.#counter(
    "attune:label_line_cache_hits",
    "Those of them whose conversation before the label line was all in the prefix cache.",
  );
  readonly #draftTokens = this.#counter("vllm:spec_decode_num_draft_tokens", "Tokens guessed by prompt lookup.");
  readonly #acceptedTokens = this.#counter("vllm:spec_decode_num_accepted_tokens", "Those of them that were right.");
  readonly #guidanceRows = this.#counter("attune:guidance_rows", "Rows taken to steer away from other attributes.");
  readonly #restarts = this.#counter("attune:engine_restarts", "Engines that crashed and were started again.");
  readonly #finished = this.#counter("vllm:request_success", "Answers that ended, by reason.", ["finished_reason"]);
  readonly #expired = this.#counter("attune:deadline_expired", "Answers that their deadline ended.", ["stage"]);
  readonly #measured = this.#counter("attune:answers_measured", "Answers that were to be measured, by outcome.", [
    "outcome",
  ]);
  readonly #moderated = this.#counter("attune:answers_moderated", "Answers that were moderated, by outcome.", [
    "outcome",
  ]);
  readonly refused = new Counter({
    name: "attune:requests_refused_total",
    help: "Requests refused before any work, by error code.",
    labelNames: ["code"],
    registers: [this.#registry],
  });
  readonly #timeToFirstToken = this.#seconds("vllm:time_to_first_token", "From request to first token.");
  readonly #interTokenLatency = this.#histogram(
    "vllm:inter_token_latency_seconds",
    "Between tokens of one answer.",
    TOKEN_SECONDS,
  );
  readonly #timePerToken = this.#histogram(
    "vllm:request_time_per_output_token_seconds",
    "Mean time between tokens of one answer.",
    TOKEN_SECONDS,
  );
  readonly #requestLatency = this.#seconds("vllm:e2e_request_latency", "From request to its end.");
  readonly #queueTime = this.#seconds("vllm:request_queue_time", "From request to a free row.");
  readonly #prefillTime = this.#seconds("vllm:request_prefill_time", "From a free row to the first token.");
  readonly #decodeTime = this.#seconds("vllm:request_decode_time", "From the first token to the last.");
  readonly #inferenceTime = this.#seconds("vllm:request_inference_time", "From a free row to the last token.");
  readonly #requestPrompt = this.#tokens("vllm:request_prompt_tokens", "Prompt tokens of one answer.");
  readonly #requestGeneration = this.#tokens("vllm:request_generation_tokens", "Tokens of one answer.");
  readonly #maxTokens = this.#tokens("vllm:request_params_max_tokens", "Longest answer that was asked for.");
  readonly #choices = this.#histogram("vllm:request_params_n", "Choices that a request asked for.", CHOICES);
  readonly #stepTime = this.#seconds("attune:step", "Duration of one engine step.");
  readonly #decodeRows = this.#tokens("attune:decode_batch_rows", "Rows that decoded together in one forward pass.");
  readonly #iterationTokens = this.#tokens("vllm:iteration_tokens_total", "Tokens computed in one engine step.");

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    const state = (name: string, help: string, read: (engine: EngineState) => number | undefined) =>
      this.#gauge(name, help, ({ engine }) => {
        const current = engine();
        return current === null ? 0 : read(current);
      });
    state("vllm:num_requests_running", "Answers that hold a row.", ({ running }) => running.length);
    state("vllm:num_requests_waiting", "Answers that wait for a row.", ({ queue }) => queue.length);
    state("vllm:kv_cache_usage_perc", "Share of the cap that running requests fill, 0–1.", ({ kv_pool }) =>
      kv_pool === null ? undefined : kv_pool.used_bytes / kv_pool.cap_bytes,
    );
    state("attune:kv_pool_bytes", "Memory of the key/value pool.", ({ kv_pool }) => kv_pool?.bytes);
    state("attune:prefix_cache_bytes", "Memory of the prefix cache.", ({ prefix_cache }) => prefix_cache?.bytes);
    this.#gauge(
      "attune:weight_set_loaded",
      "Whether the model's weights are in memory; adapter: the one merged into them.",
      ({ engine }) => (engine()?.ready === true ? 1 : 0),
      ({ adapter }) => ({ adapter: adapter ?? "" }),
    );
    this.#gauge("attune:weight_set_bytes", "Size of the loaded weights.", ({ engine, weights }) =>
      engine() === null ? 0 : (weights.bytes ?? undefined),
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Has the adapters asked for whenever the metrics are read. */
  watchAdapters(list: () => AdapterState[], capBytes: number): void {
    const gauge = (name: string, help: string, read: (adapter: AdapterState) => number) =>
      new Gauge({
        name,
        help,
        labelNames: ["model_name", "state"],
        registers: [this.#registry],
        collect() {
          this.reset();
          for (const adapter of list()) this.inc({ model_name: adapter.name, state: adapter.state }, read(adapter));
        },
      });
    gauge("attune:adapter_bytes", "Memory that an adapter takes in the bank.", ({ bytes }) => bytes);
    gauge("attune:adapter_requests", "Requests that compute with an adapter.", ({ requests }) => requests);
    const cap = "attune:adapter_memory_cap_bytes";
    new Gauge({ name: cap, help: "Room of the bank of adapters.", registers: [this.#registry] }).set(capBytes);
  }

  /** @param source `null` for a model whose weights are another's */
  of(model: string, source: ModelSource | null) {
    const labels: ModelLabels = { model_name: model, engine: "0" };
    if (source !== null) this.#sources.push({ ...source, labels });
    const decodeRows = this.#decodeRows.labels(labels);
    const iterationTokens = this.#iterationTokens.labels(labels);
    const stepTime = this.#stepTime.labels(labels);
    const ended = (reason: FinishedReason, count = 1) =>
      this.#finished.inc({ ...labels, finished_reason: reason }, count);
    const expired = (stage: DeadlineStage, count = 1) => this.#expired.inc({ ...labels, stage }, count);
    const measured = (outcome: MeasureOutcome, count = 1) => this.#measured.inc({ ...labels, outcome }, count);
    const moderated = (outcome: ModerationOutcome, count = 1) => this.#moderated.inc({ ...labels, outcome }, count);
    // What is counted by kind is there from the start: a rate over a series that just appeared misses its first count.
    for (const reason of ["stop", "length", "abort", "error"] as const) ended(reason, 0);
    for (const stage of ["waiting", "generating"] as const) expired(stage, 0);
    for (const outcome of ["measured", "abort", "error"] as const) measured(outcome, 0);
    for (const outcome of ["passed", "flagged"] as const) moderated(outcome, 0);
    const counter = (metric: Counter) => {
      metric.inc({ ...labels }, 0);
      return metric.labels(labels);
    };
    const draftTokens = counter(this.#draftTokens);
    const acceptedTokens = counter(this.#acceptedTokens);
    return {
      promptTokens: counter(this.#promptTokens),
      cachedTokens: counter(this.#cachedTokens),
      prefixQueries: counter(this.#prefixQueries),
      prefixHits: counter(this.#prefixHits),
      generationTokens: counter(this.#generationTokens),
      labelLines: counter(this.#labelLines),
      labelLineHits: counter(this.#labelLineHits),
      guidanceRows: counter(this.#guidanceRows),
      restarts: counter(this.#restarts),
      ended,
      expired,
      measured,
      moderated,
      timeToFirstToken: this.#timeToFirstToken.labels(labels),
      interTokenLatency: this.#interTokenLatency.labels(labels),
      timePerToken: this.#timePerToken.labels(labels),
      requestLatency: this.#requestLatency.labels(labels),
      queueTime: this.#queueTime.labels(labels),
      prefillTime: this.#prefillTime.labels(labels),
      decodeTime: this.#decodeTime.labels(labels),
      inferenceTime: this.#inferenceTime.labels(labels),
      requestPrompt: this.#requestPrompt.labels(labels),
      requestGeneration: this.#requestGeneration.labels(labels),
      maxTokens: this.#maxTokens.labels(labels),
      choices: this.#choices.labels(labels),
      step: (report: StepReport) => {
        if (report.decodeRows > 0) decodeRows.observe(report.decodeRows);
        draftTokens.inc(report.draftTokens);
        acceptedTokens.inc(report.acceptedTokens);
        const tokens = report.decodeRows + report.draftTokens + report.prefillTokens;
        if (tokens === 0) return;
        iterationTokens.observe(tokens);
        stepTime.observe(report.seconds);
      },
    };
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter(name: string, help: string, kinds: string[] = []): Counter {
    return new Counter({
      name: `${name}_total`,
      help,
      labelNames: [...LABELS, ...kinds],
      registers: [this.#registry],
    });
  }

  #seconds(name: string, help: string): Histogram {
    return this.#histogram(`${name}_seconds`, help, REQUEST_SECONDS);
  }

  #tokens(name: string, help: string): Histogram {
    return this.#histogram(name, help, TOKENS);
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, labelNames: LABELS, buckets, registers: [this.#registry] });
  }

  /** A value that is looked up whenever the metrics are read; `undefined` where there is none. */
  #gauge(
    name: string,
    help: string,
    read: (source: ModelSource) => number | undefined,
    more: (weights: WeightSet) => Record<string, string> = () => ({}),
  ): void {
    const sources = this.#sources;
    new Gauge({
      name,
      help,
      labelNames: [...LABELS, "adapter"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const source of sources) {
          const value = read(source);
          if (value !== undefined) this.set({ ...source.labels, ...more(source.weights) }, value);
        }
      },
    });
  }
}
