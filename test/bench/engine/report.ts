import type { EngineProcess } from "./engine-process.ts";
import type { EngineName } from "./engines.ts";
import type { ChatTarget, LoadSample } from "./http-load.ts";
import type { Machine } from "./machine.ts";
import type { CellSamples, Failure } from "./measure-cells.ts";
import type { HttpSamples } from "./measure-http.ts";
import type { Perplexities } from "./measure-perplexity.ts";
import { pairedRatio, quantile, rounded, spread } from "./statistics.ts";

/** Everything that one run measured. */
export type Measurements = {
  plan: string;
  machine: Machine;
  threads: number;
  /** Seconds the whole run took. */
  seconds: number;
  engines: EngineReport[];
  unavailable: Partial<Record<string, string>>;
  cells: CellSamples;
  failures: Failure[];
  perplexity: Perplexities;
  http: HttpSamples | null;
  servers: ServerReport[];
};

export type EngineReport = { name: EngineName; version: string; detail: string; peakMiB: number | null };
export type ServerReport = {
  name: "attune" | "llama.cpp server";
  version: string;
  detail: string;
  peakMiB: number | null;
};

/** What is told of an engine before it is stopped. */
export function reportEngine(name: EngineName, engine: EngineProcess): EngineReport {
  return { name, version: engine.version, detail: engine.detail, peakMiB: engine.peakMiB };
}

export function reportServer(name: ServerReport["name"], target: ChatTarget): ServerReport {
  return { name, version: target.version, detail: target.detail, peakMiB: target.peakMiB() };
}

/** The line that ends the benchmark's output. */
export function summary(measured: Measurements) {
  const { machine, perplexity, unavailable, http } = measured;
  const peers = measured.engines.map((engine) => [engine.name, engineSummary(engine, measured)] as const);
  const missing = Object.entries(unavailable).map(([name, reason]) => [name, { unavailable: reason }] as const);
  const ratios = ratiosTo("llama.cpp", measured);
  const rates = (samples: LoadSample[]) => samples.map(({ tokensPerSecond }) => tokensPerSecond);
  return {
    bench: "engine",
    plan: measured.plan,
    isa: machine.isa,
    cpu: machine.cpu,
    threads: measured.threads,
    seconds: measured.seconds,
    perplexity,
    peers: Object.fromEntries([...peers, ...missing]),
    http: http === null ? null : httpSummary(http, measured.servers),
    failures: measured.failures,
    ratios: { ...ratios, http_tps8: http === null ? null : pairedRatio(rates(http.attune), rates(http.llama)) },
    ratios_openvino: ratiosTo("openvino", measured),
    ratios_onnxruntime_genai: ratiosTo("onnxruntime-genai", measured),
    ratios_transformers_js: ratiosTo("transformers.js", measured),
  };
}

function ratiosTo(peer: EngineName, { cells }: Measurements): Record<string, number | null> {
  return Object.fromEntries(
    Object.entries(cells).map(([cell, samples]) => [cell, pairedRatio(samples.attune ?? [], samples[peer] ?? [])]),
  );
}

function engineSummary({ name, version, detail, peakMiB }: EngineReport, { cells }: Measurements) {
  const tokensPerSecond = Object.entries(cells).flatMap(([cell, samples]) => {
    const taken = (samples[name] ?? []).filter((value) => value !== null);
    return taken.length === 0 ? [] : [[cell, spread(taken)] as const];
  });
  return { version, detail, peak_rss_mib: peakMiB, tokens_per_second: Object.fromEntries(tokensPerSecond) };
}

function httpSummary({ attune, llama }: HttpSamples, servers: ServerReport[]) {
  const of = (name: ServerReport["name"], samples: LoadSample[]) => {
    const milliseconds = (values: number[]) => ({
      p50: rounded(quantile(values, 0.5)),
      p99: rounded(quantile(values, 0.99)),
    });
    const server = servers.find((report) => report.name === name);
    return {
      version: server?.version,
      detail: server?.detail,
      peak_rss_mib: server?.peakMiB ?? null,
      tokens_per_second: spread(samples.map(({ tokensPerSecond }) => tokensPerSecond)),
      first_token_ms: milliseconds(samples.flatMap(({ firstTokens }) => firstTokens)),
      inter_token_ms: milliseconds(samples.flatMap(({ gaps }) => gaps)),
      prompt_tokens: samples.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
      completion_tokens: samples.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
    };
  };
  return { attune: of("attune", attune), "llama.cpp server": of("llama.cpp server", llama) };
}
