import { readFile } from "node:fs/promises";
import { openGguf } from "../../../gpu-worker/model/gguf.ts";
import { createTokenizer } from "../../../gpu-worker/model/tokenizer.ts";
import type { EngineSettings } from "./children/serve-cells.ts";
import { EngineProcess } from "./engine-process.ts";
import { type EngineName, nodeChild } from "./engines.ts";
import { rounded } from "./statistics.ts";

/** Perplexity by who computed it, or why it could not be. `fp32` is our graph on the GGUF's weights, dequantised. */
export type Perplexities = Record<string, number | string>;

/** The fixed text that perplexity is measured on, and that HTTP requests are made of. */
export async function benchmarkText(): Promise<string> {
  return readFile(new URL("../../fixtures/perplexity.txt", import.meta.url), "utf8");
}

/** @param cache where the float32 decoder, half a gigabyte that nobody needs again, is built */
export async function measurePerplexity(
  engines: ReadonlyMap<EngineName, EngineProcess>,
  settings: EngineSettings,
  cache: string,
): Promise<Perplexities> {
  const gguf = await openGguf(settings.model);
  const tokens = createTokenizer(gguf.metadata).encodeText(await benchmarkText());
  await gguf.close();
  const perplexities: Perplexities = {};
  for (const [name, precision, ...others] of [["ours", "int8"] as const, ["fp32", "fp32", cache] as const]) {
    perplexities[name] = await measured(async () => {
      const engine = await EngineProcess.start(nodeChild("perplexity.ts", settings, precision, ...others));
      try {
        return await engine.measure({ kind: "perplexity", tokens });
      } finally {
        await engine.stop();
      }
    });
  }
  for (const [name, engine] of engines) {
    if (name === "attune") continue;
    perplexities[name] = await measured(() => engine.measure({ kind: "perplexity", tokens }));
  }
  console.log(`perplexity: ${JSON.stringify(perplexities)}`);
  return perplexities;
}

async function measured(measure: () => Promise<number>): Promise<number | string> {
  try {
    return rounded(await measure());
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
