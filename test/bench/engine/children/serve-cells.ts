import type { CellRequest } from "../protocol.ts";
import { serveRequests } from "./serve-requests.ts";

/** What every engine is started with, as JSON in its first argument. */
export type EngineSettings = {
  /** The weights: a GGUF file, or a directory made for engines that cannot read one. */
  model: string;
  threads: number;
  /** Most rows at once, and most tokens of one. */
  rows: number;
  rowTokens: number;
};

/** An engine that is loaded, as far as the benchmark needs it; what the numbers mean says {@link CellRequest}. */
export type LoadedEngine = {
  version: string;
  detail: string;
  prefill: (prompt: number[]) => Promise<number>;
  decode: (prompts: number[][], steps: number) => Promise<number>;
  /** Absent where its interface does not show probabilities. */
  perplexity?: (tokens: number[]) => Promise<number>;
};

function compute(engine: LoadedEngine, request: CellRequest): Promise<number> {
  switch (request.kind) {
    case "prefill":
      return engine.prefill(request.prompt);
    case "decode":
      return engine.decode(request.prompts, request.steps);
    case "perplexity":
      if (engine.perplexity === undefined) return Promise.reject(new Error("its interface shows no probabilities"));
      return engine.perplexity(request.tokens);
  }
}

/** Loads an engine, answers one request after another, and ends with its stdin. */
export function serveCells(load: (settings: EngineSettings) => Promise<LoadedEngine>): Promise<never> {
  return serveRequests<EngineSettings, CellRequest>(async (settings) => {
    const engine = await load(settings);
    return { version: engine.version, detail: engine.detail, answer: (request) => compute(engine, request) };
  });
}
