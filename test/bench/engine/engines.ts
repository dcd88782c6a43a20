import { fileURLToPath } from "node:url";
import type { EngineSettings } from "./children/serve-cells.ts";
import type { Command } from "./engine-process.ts";

/** Engines whose speed is measured without HTTP: ours first, then its peers. */
export const ALL_ENGINES = ["attune", "llama.cpp", "openvino", "onnxruntime-genai", "transformers.js"] as const;
export type EngineName = (typeof ALL_ENGINES)[number];
export type PeerName = Exclude<EngineName, "attune">;

export function isEngineName(text: string): text is EngineName {
  return ALL_ENGINES.some((name) => name === text);
}

const fileHere = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export const nodeChild = (file: string, settings: EngineSettings, ...others: string[]): Command => ({
  command: process.execPath,
  args: [fileHere(`./children/${file}`), JSON.stringify(settings), ...others],
});

export const pythonChild = (python: string, file: string, settings: EngineSettings): Command => ({
  command: python,
  args: [fileHere(`./python/${file}`), JSON.stringify(settings)],
});
