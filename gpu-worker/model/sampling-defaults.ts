import { type SamplingDefaults, samplingDefaultsSchema } from "../../schema/api/chat.ts";
import type { GgufMetadata } from "./metadata.ts";

/** What publishers recommend where their file does not say so, by `general.basename`. SmolLM2: its model card. */
const RECOMMENDED: Record<string, Partial<SamplingDefaults>> = { smollm2: { temperature: 0.2, top_p: 0.9 } };

/** GGUF's keys for a publisher's recommendation. */
const KEYS = {
  temperature: "general.sampling.temp",
  top_p: "general.sampling.top_p",
  top_k: "general.sampling.top_k",
  min_p: "general.sampling.min_p",
};

/**
 * How a model samples where a request does not say: as its publisher recommends, else OpenAI's defaults. Small models talk nonsense
 * at temperature 1.
 */
export function readSamplingDefaults(metadata: GgufMetadata): SamplingDefaults {
  const name = metadata.has("general.basename") ? metadata.string("general.basename").toLowerCase() : "";
  const stated = Object.entries(KEYS)
    .filter(([, key]) => metadata.has(key))
    .map(([field, key]) => [field, metadata.number(key)]);
  return samplingDefaultsSchema.parse({ ...RECOMMENDED[name], ...Object.fromEntries(stated) });
}
