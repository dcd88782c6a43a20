import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { SteeringProfile } from "../../schema/attributes.ts";
import { openAdapter } from "./adapter.ts";

export type TrainedAdapter = { identity: string; profile: SteeringProfile };

/**
 * A steerable adapter: its profile, and a SHA-256 of what it was trained to be. The default strength, and what it steers away from, are no
 * part of that, for calibration sets them.
 *
 * @param directory of a LoRA in PEFT's format with its steering profile
 * @throws Error where it is none
 */
export async function readTrainedAdapter(directory: string): Promise<TrainedAdapter> {
  const adapter = await openAdapter(directory);
  await adapter.close();
  if (adapter.profile === null) {
    throw new Error(`${directory} has no profile.json: without it nobody knows which attributes it was trained on.`);
  }
  const { strength: _, against: __, ...trained } = adapter.profile;
  const hash = createHash("sha256").update(JSON.stringify(trained));
  for (const name of ["adapter_config.json", "adapter_model.safetensors"]) await addFile(hash, join(directory, name));
  return { identity: hash.digest("hex"), profile: adapter.profile };
}

async function addFile(hash: Hash, path: string): Promise<void> {
  await pipeline(createReadStream(path), async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) hash.update(chunk);
  });
}
