import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { StepReport } from "../engine/engine.ts";

type EngineLoad = { running: number; waiting: number };

/** What is counted for one model. */
export type ModelMetrics = ReturnType<Metrics["of"]>;

const MODEL = "model_name";

const TOKEN_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const SECONDS_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** Prometheus metrics, under vLLM's names where the meaning is vLLM's. All that is about a model has its `model_name`. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #loads = new Map<string, () => EngineLoad>();
  readonly #promptTokens = this.#counter("vllm:prompt_tokens", "Prompt tokens of requests that got a row.");
  readonly #cachedTokens = this.#counter("vllm:prefix_cache_hits", "Prompt tokens that need not be computed.");
  readonly #generationTokens = this.#counter("vllm:generation_tokens", "Tokens generated.");
  readonly #restarts = this.#counter("attune:engine_restarts", "Engines that crashed and were started again.");
  readonly #finished = new Counter({
    name: "vllm:request_success_total",
    help: "Requests that ended, by reason: stop, length, abort or error.",
    labelNames: [MODEL, "finished_reason"],
    registers: [this.#registry],
  });
  readonly refused = new Counter({
    name: "attune:requests_refused_total",
    help: "Requests refused before any work, by error code.",
    labelNames: ["code"],
    registers: [this.#registry],
  });
  readonly #timeToFirstToken = this.#seconds("vllm:time_to_first_token_seconds", "From request to first token.");
  readonly #interTokenLatency = this.#seconds("vllm:inter_token_latency_seconds", "Between tokens of one request.");
  readonly #queueTime = this.#seconds("vllm:request_queue_time_seconds", "From request to a free row.");
  readonly #requestLatency = this.#seconds("vllm:e2e_request_latency_seconds", "From request to its end.");
  readonly #stepTime = this.#seconds("attune:step_seconds", "Duration of one engine step.");
  readonly #decodeRows = this.#histogram(
    "attune:decode_batch_rows",
    "Requests that decoded together in one forward pass.",
    TOKEN_BUCKETS,
  );
  readonly #iterationTokens = this.#histogram(
    "vllm:iteration_tokens_total",
    "Tokens computed in one engine step.",
    TOKEN_BUCKETS,
  );
  readonly #kvBytes = this.#gauge("attune:kv_pool_bytes", "Memory of the key/value pool.");
  readonly #prefixBytes = this.#gauge("attune:prefix_cache_bytes", "Memory of the prefix cache.");

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge("vllm:num_requests_running", "Requests that hold a row.", (load) => load.running);
    this.#gauge("vllm:num_requests_waiting", "Requests that wait for a row.", (load) => load.waiting);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** @param load asked for whenever the metrics are read */
  of(model: string, load: () => EngineLoad) {
    const labels = { [MODEL]: model };
    this.#loads.set(model, load);
    const decodeRows = this.#decodeRows.labels(labels);
    const iterationTokens = this.#iterationTokens.labels(labels);
    const stepTime = this.#stepTime.labels(labels);
    return {
      promptTokens: this.#promptTokens.labels(labels),
      cachedTokens: this.#cachedTokens.labels(labels),
      generationTokens: this.#generationTokens.labels(labels),
      restarts: this.#restarts.labels(labels),
      timeToFirstToken: this.#timeToFirstToken.labels(labels),
      interTokenLatency: this.#interTokenLatency.labels(labels),
      queueTime: this.#queueTime.labels(labels),
      requestLatency: this.#requestLatency.labels(labels),
      ended: (reason: "stop" | "length" | "abort" | "error") =>
        this.#finished.inc({ ...labels, finished_reason: reason }),
      step: (report: StepReport) => {
        this.#kvBytes.set(labels, report.kvBytes);
        this.#prefixBytes.set(labels, report.prefixBytes);
        if (report.decodeRows > 0) decodeRows.observe(report.decodeRows);
        const tokens = report.decodeRows + report.prefillTokens;
        if (tokens === 0) return;
        iterationTokens.observe(tokens);
        stepTime.observe(report.seconds);
      },
    };
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `${name}_total`, help, labelNames: [MODEL], registers: [this.#registry] });
  }

  #seconds(name: string, help: string): Histogram {
    return this.#histogram(name, help, SECONDS_BUCKETS);
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, labelNames: [MODEL], buckets, registers: [this.#registry] });
  }

  /** @param read where the value is taken from an engine's load, whenever the metrics are read */
  #gauge(name: string, help: string, read?: (load: EngineLoad) => number): Gauge {
    const loads = this.#loads;
    const collect = read && {
      collect(this: Gauge) {
        for (const [model, load] of loads) this.set({ [MODEL]: model }, read(load()));
      },
    };
    return new Gauge({ name, help, labelNames: [MODEL], registers: [this.#registry], ...collect });
  }
}
