/** llama.cpp through node-llama-cpp, which picks the best of its prebuilt binaries for this CPU. */
import { decodeRate } from "../decode-window.ts";
import { installedVersion } from "../installed-version.ts";
import { type EngineSettings, serveCells } from "./serve-cells.ts";

/** As much of node-llama-cpp as is used here: the package is installed only where benchmarks run. */
type LlamaModule = {
  getLlama(options: { gpu: false; build: "never"; progressLogs: boolean; maxThreads: number }): Promise<Llama>;
};
type Llama = {
  systemInfo: string;
  llamaCppRelease: { release: string };
  loadModel(options: { modelPath: string; gpuLayers: 0 }): Promise<LlamaModel>;
};
type LlamaModel = { createContext(options: ContextOptions): Promise<LlamaContext> };
type ContextOptions = {
  sequences: number;
  contextSize: number;
  batchSize: number;
  threads: { ideal: number; min: number };
  flashAttention: "auto";
};
type LlamaContext = { getSequence(): LlamaSequence; dispose(): Promise<void> };
type LlamaSequence = {
  clearHistory(): Promise<void>;
  evaluate(tokens: number[], options: { temperature: 0; yieldEogToken: true }): AsyncGenerator<number>;
  controlledEvaluate(tokens: ControlledToken[]): Promise<(ControlledOutput | undefined)[]>;
};
type ControlledToken = [number, { generateNext: { logits: object; totalLogitWeight: true } }];
type ControlledOutput = { next: { logits?: Map<number, number>; totalLogitWeight?: number } };

/** Prompt tokens in one call of the library; llama.cpp's own default. Larger ones made no difference that could be seen. */
const BATCH = 512;

// Not a literal, so that the type checker does not look for the package.
const PACKAGE: string = "node-llama-cpp";

await serveCells(async (settings) => {
  const { getLlama }: LlamaModule = await import(PACKAGE);
  const llama = await getLlama({ gpu: false, build: "never", progressLogs: false, maxThreads: settings.threads });
  const model = await llama.loadModel({ modelPath: settings.model, gpuLayers: 0 });
  const sequencesFor = sequencePool(model, settings);

  /** When each token came. Rows that are asked for in the same turn of the event loop share a batch. */
  async function generate(sequence: LlamaSequence, prompt: number[], tokens: number): Promise<number[]> {
    await sequence.clearHistory();
    const times: number[] = [];
    for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      times.push(performance.now());
      if (times.length === tokens) break;
    }
    return times;
  }

  return {
    version: installedVersion(PACKAGE, import.meta.url),
    detail: `llama.cpp ${llama.llamaCppRelease.release}, flash attention auto, ${llama.systemInfo}`,
    async prefill(prompt) {
      const [sequence] = await sequencesFor(1, prompt.length + 1);
      await sequence.clearHistory();
      const began = performance.now();
      const [first = Number.NaN] = await generate(sequence, prompt, 1);
      return (prompt.length / (first - began)) * 1000;
    },
    async decode(prompts, steps) {
      const longest = Math.max(...prompts.map((prompt) => prompt.length));
      const sequences = await sequencesFor(prompts.length, longest + steps + 1);
      const rows = sequences.map((sequence, index) => generate(sequence, prompts[index] ?? [], steps + 1));
      return decodeRate(await Promise.all(rows));
    },
    async perplexity(tokens) {
      const [sequence] = await sequencesFor(1, tokens.length);
      await sequence.clearHistory();
      const outputs = await sequence.controlledEvaluate(
        tokens.slice(0, -1).map((token, index): ControlledToken => {
          // includeMax adds the largest logit only where it is there already.
          const filter = { tokens: [tokens[index + 1]], includeTop: 1 };
          return [token, { generateNext: { logits: { filter }, totalLogitWeight: true } }];
        }),
      );
      const losses = outputs.map((output, index) => {
        const logits = output?.next.logits ?? new Map<number, number>();
        const weight = output?.next.totalLogitWeight ?? Number.NaN;
        return Math.log(weight) + Math.max(...logits.values()) - (logits.get(tokens[index + 1] ?? -1) ?? Number.NaN);
      });
      return Math.exp(losses.reduce((sum, value) => sum + value, 0) / losses.length);
    },
  };
});

/** A context with as many sequences as a cell has rows: every sequence has memory of its own, used or not. */
function sequencePool(model: LlamaModel, { threads }: EngineSettings) {
  let context: LlamaContext | null = null;
  let sequences: LlamaSequence[] = [];
  let capacity = 0;
  return async (rows: number, tokens: number): Promise<[LlamaSequence, ...LlamaSequence[]]> => {
    if (sequences.length !== rows || capacity < tokens) {
      await context?.dispose();
      const created = await model.createContext({
        sequences: rows,
        contextSize: tokens,
        batchSize: BATCH,
        threads: { ideal: threads, min: threads },
        flashAttention: "auto",
      });
      context = created;
      sequences = Array.from({ length: rows }, () => created.getSequence());
      capacity = tokens;
    }
    const [first, ...others] = sequences;
    if (first === undefined) throw new Error("a cell has at least one row");
    return [first, ...others];
  };
}
