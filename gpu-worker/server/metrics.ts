import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { StepReport } from "../engine/engine.ts";

type EngineLoad = { running: number; waiting: number };

const TOKEN_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const SECONDS_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** Prometheus metrics, under vLLM's names where the meaning is vLLM's. */
export class Metrics {
  readonly #registry = new Registry();
  readonly promptTokens = this.#counter("vllm:prompt_tokens", "Prompt tokens of requests that got a row.");
  readonly generationTokens = this.#counter("vllm:generation_tokens", "Tokens generated.");
  readonly #finished = new Counter({
    name: "vllm:request_success_total",
    help: "Requests that ended, by reason: stop, length, abort or error.",
    labelNames: ["finished_reason"],
    registers: [this.#registry],
  });
  readonly refused = new Counter({
    name: "attune:requests_refused_total",
    help: "Requests refused before any work, by error code.",
    labelNames: ["code"],
    registers: [this.#registry],
  });
  readonly timeToFirstToken = this.#seconds("vllm:time_to_first_token_seconds", "From request to first token.");
  readonly interTokenLatency = this.#seconds("vllm:inter_token_latency_seconds", "Between tokens of one request.");
  readonly queueTime = this.#seconds("vllm:request_queue_time_seconds", "From request to a free row.");
  readonly requestLatency = this.#seconds("vllm:e2e_request_latency_seconds", "From request to its end.");
  readonly #decodeRows = new Histogram({
    name: "attune:decode_batch_rows",
    help: "Requests that decoded together in one forward pass.",
    buckets: TOKEN_BUCKETS,
    registers: [this.#registry],
  });
  readonly #iterationTokens = new Histogram({
    name: "vllm:iteration_tokens_total",
    help: "Tokens computed in one engine step.",
    buckets: TOKEN_BUCKETS,
    registers: [this.#registry],
  });
  readonly #stepTime = this.#seconds("attune:step_seconds", "Duration of one engine step.");
  readonly #kvBytes = new Gauge({
    name: "attune:kv_pool_bytes",
    help: "Memory of the key/value pool.",
    registers: [this.#registry],
  });

  constructor(load: () => EngineLoad) {
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge("vllm:num_requests_running", "Requests that hold a row.", () => load().running);
    this.#gauge("vllm:num_requests_waiting", "Requests that wait for a row.", () => load().waiting);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  ended(reason: "stop" | "length" | "abort" | "error"): void {
    this.#finished.inc({ finished_reason: reason });
  }

  step(report: StepReport): void {
    this.#kvBytes.set(report.kvBytes);
    if (report.decodeRows > 0) this.#decodeRows.observe(report.decodeRows);
    const tokens = report.decodeRows + report.prefillTokens;
    if (tokens === 0) return;
    this.#iterationTokens.observe(tokens);
    this.#stepTime.observe(report.seconds);
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `${name}_total`, help, registers: [this.#registry] });
  }

  #seconds(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets: SECONDS_BUCKETS, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }
}
