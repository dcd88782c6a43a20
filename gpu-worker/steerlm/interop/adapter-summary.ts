import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Adapter } from "../../model/adapter.ts";
import { parseJsonFile } from "../../model/json-file.ts";

/** What there is to know of an adapter without its model. */
export type AdapterSummary = {
  directory: string;
  /** The model that its configuration says it was trained on; `null` where it does not. */
  base_model: string | null;
  /** Ranks and scales that occur: one each, unless patterns set them by module. */
  ranks: number[];
  scales: number[];
  layers: number;
  /** Matrices changed, by projection. */
  modules: Record<string, number>;
  parameters: number;
  profile: Adapter["profile"];
  content_hash: string;
};

const baseSchema = z.looseObject({ base_model_name_or_path: z.string().nullish() });

/** @throws Error where `adapter_config.json` cannot be read */
export async function summariseAdapter({ directory, updates, profile, contentHash }: Adapter): Promise<AdapterSummary> {
  const path = join(directory, "adapter_config.json");
  const config = parseJsonFile(path, await readFile(path, "utf8"), baseSchema, "an adapter's configuration");
  const all = [...updates.values()];
  const modules: Record<string, number> = {};
  for (const module of updates.keys()) {
    const projection = module.slice(module.lastIndexOf(".") + 1);
    modules[projection] = (modules[projection] ?? 0) + 1;
  }
  const distinct = (values: number[]) => [...new Set(values)].sort((a, b) => a - b);
  return {
    directory,
    base_model: config.base_model_name_or_path ?? null,
    ranks: distinct(all.map(({ rank }) => rank)),
    scales: distinct(all.map(({ scale }) => scale)),
    layers: new Set([...updates.keys()].map((module) => module.split(".")[2])).size,
    modules,
    parameters: all.reduce((sum, { rank, inputs, outputs }) => sum + rank * (inputs + outputs), 0),
    profile,
    content_hash: contentHash,
  };
}

/** The summary as a person reads it, one fact a line. */
export function summaryText(summary: AdapterSummary): string {
  const { profile } = summary;
  const modules = Object.entries(summary.modules).map(([name, count]) => `${name} ${count}`);
  const levels = profile?.attributes.map(({ name, default: level }) => `${name} (default ${level ?? "left out"})`);
  const facts: [string, string][] = [
    ["adapter", summary.directory],
    ["trained on", summary.base_model ?? "not said"],
    ["rank", summary.ranks.join(", ")],
    ["scale", summary.scales.join(", ")],
    ["matrices", `${modules.join(", ")}, in ${summary.layers} layers`],
    ["parameters", summary.parameters.toLocaleString("en")],
    ["profile", levels === undefined ? "none: it is steered by an instruction in words" : levels.join(", ")],
    ["content", summary.content_hash],
  ];
  return facts.map(([name, fact]) => `${name.padEnd(12)}${fact}`).join("\n");
}
