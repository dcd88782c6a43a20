import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SteeringProfile } from "../../schema/attributes.ts";
import { type AdapterConfig, parseAdapterConfig, rankAndScale, refusedTarget } from "./adapter-config.ts";
import { openSafetensors, type Safetensors } from "./safetensors.ts";
import { parseProfile } from "./steering-profile.ts";

/** What an adapter adds to one weight [outputs, inputs]: scale · B · A. */
export type LowRankUpdate = {
  rank: number;
  inputs: number;
  outputs: number;
  scale: number;
  /** A, [rank, inputs]. */
  down: () => Promise<Float32Array>;
  /** B, [outputs, rank]. */
  up: () => Promise<Float32Array>;
};

/** An open LoRA in PEFT's format: what it changes in memory, its matrices read on demand. */
export type Adapter = {
  readonly directory: string;
  /** SHA-256 of configuration, weights and profile: two adapters with the same one answer alike. */
  readonly contentHash: string;
  /** The steering it was trained with; `null` where there is no `profile.json`. */
  readonly profile: SteeringProfile | null;
  /** By Hugging Face module path, as `model.layers.0.self_attn.q_proj`. */
  readonly updates: ReadonlyMap<string, LowRankUpdate>;
  close(): Promise<void>;
};

const CONFIG_FILE = "adapter_config.json";
const WEIGHTS_FILE = "adapter_model.safetensors";
const PROFILE_FILE = "profile.json";

/** PEFT leaves the adapter's name out on disk; files written by other means have it between the side and `weight`. */
const TENSOR_NAME = /^base_model\.model\.(?<module>.+)\.lora_(?<side>[AB])(?:\.[^.]+)?\.weight$/;
const EMBEDDING_NAME = /^base_model\.model\.(?<module>.+)\.lora_embedding_[AB](?:\.[^.]+)?$/;

/**
 * Opens an adapter: a directory with `adapter_config.json`, `adapter_model.safetensors` and, for a model trained on attributes,
 * `profile.json`. The caller closes it.
 *
 * @throws Error that names the file, and the field or tensor, where it is broken or not supported
 */
export async function openAdapter(directory: string): Promise<Adapter> {
  const configPath = join(directory, CONFIG_FILE);
  const configText = await readFile(configPath, "utf8").catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${directory} is not a LoRA in PEFT's format (${reason}).`, { cause: error });
  });
  const config = parseAdapterConfig(configPath, configText);
  const profilePath = join(directory, PROFILE_FILE);
  const profileText = await readIfThere(profilePath);
  const profile = profileText === null ? null : parseProfile(profilePath, profileText);
  const weights = await openSafetensors(join(directory, WEIGHTS_FILE));
  try {
    const updates = readUpdates(weights, config);
    const parts = [configText, profileText, await weights.contentHash()];
    const contentHash = createHash("sha256").update(JSON.stringify(parts)).digest("hex");
    return { directory, contentHash, profile, updates, close: () => weights.close() };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
}

type Sides = { A?: string; B?: string };

/** Pairs up A and B of each module. Every tensor in the file must be one of them. */
function readUpdates(weights: Safetensors, config: AdapterConfig): Map<string, LowRankUpdate> {
  const modules = new Map<string, Sides>();
  for (const name of weights.tensorNames) {
    const { module, side } = readName(weights.path, name);
    const sides = modules.get(module) ?? {};
    if (sides[side] !== undefined) {
      throw new Error(`${weights.path} holds ${sides[side]} and ${name}: only one adapter in a file is supported.`);
    }
    modules.set(module, { ...sides, [side]: name });
  }
  if (modules.size === 0) throw new Error(`${weights.path} holds no tensors.`);
  return new Map([...modules].map(([module, sides]) => [module, readUpdate(weights, config, module, sides)]));
}

function readName(path: string, name: string): { module: string; side: keyof Sides } {
  const { module, side } = TENSOR_NAME.exec(name)?.groups ?? {};
  const embedding = EMBEDDING_NAME.exec(name)?.groups?.module;
  if (embedding !== undefined || module === "lm_head") throw refusedTarget(path, embedding ?? "lm_head");
  if (module !== undefined && (side === "A" || side === "B")) return { module, side };
  throw new Error(`${path}: tensor ${name} is not a LoRA's A or B, and would be ignored.`);
}

function readUpdate(weights: Safetensors, config: AdapterConfig, module: string, { A, B }: Sides): LowRankUpdate {
  if (A === undefined || B === undefined) {
    throw new Error(`${weights.path}: ${module} has lora_${A === undefined ? "B" : "A"} only; both are needed.`);
  }
  const { rank, scale } = rankAndScale(config, module);
  const [rows, inputs] = matrixShape(weights, A);
  const [outputs, columns] = matrixShape(weights, B);
  if (rows !== rank) throw wrongShape(weights, A, `[${rank}, inputs], for the configured rank is ${rank}`);
  if (columns !== rank) throw wrongShape(weights, B, `[outputs, ${rank}], for the configured rank is ${rank}`);
  const down = () => weights.readFloat32(A);
  const up = () => weights.readFloat32(B);
  return { rank, inputs, outputs, scale, down, up };
}

function matrixShape(weights: Safetensors, name: string): [number, number] {
  const [rows, columns, ...more] = weights.shape(name);
  if (rows === undefined || columns === undefined || more.length > 0) throw wrongShape(weights, name, "a matrix");
  return [rows, columns];
}

function wrongShape(weights: Safetensors, name: string, wanted: string): Error {
  return new Error(`${weights.path}: tensor ${name} has shape [${weights.shape(name)}]; it should be ${wanted}.`);
}
