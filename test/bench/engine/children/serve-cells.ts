import { createInterface } from "node:readline";
import { type CellRequest, type EngineReply, formatReply } from "../protocol.ts";

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

const send = (reply: EngineReply) => process.stdout.write(formatReply(reply));

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
export async function serveCells(load: (settings: EngineSettings) => Promise<LoadedEngine>): Promise<never> {
  const settings: EngineSettings = JSON.parse(process.argv[2] ?? "");
  const engine = await load(settings);
  send({ type: "ready", version: engine.version, detail: engine.detail });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      send({ type: "result", value: await compute(engine, JSON.parse(line)) });
    } catch (error) {
      send({ type: "failed", reason: error instanceof Error ? error.message : String(error) });
    }
  }
  process.exit(0);
}
