import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { parseJsonFile } from "./json-file.ts";
import { openSafetensors, type Safetensors } from "./safetensors.ts";

/** All weights of a model, where they are in one file. */
export const WEIGHTS_FILE = "model.safetensors";
/** Which file holds which weights, where they are in several. */
export const INDEX_FILE = "model.safetensors.index.json";

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * The files that hold the weights of a model directory, as its index names them; `null` where it has none.
 *
 * @throws Error where the index is broken, or names a file outside the directory
 */
export async function shardNames(directory: string): Promise<string[] | null> {
  const path = join(directory, INDEX_FILE);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return null;
  const places = parseJsonFile(path, text, indexSchema, "an index of safetensors files").weight_map;
  const names = [...new Set(Object.values(places))].sort();
  const outside = names.find((name) => basename(name) !== name);
  if (outside !== undefined) throw new Error(`${path} names a file outside its directory: ${outside}.`);
  return names;
}

/**
 * Opens the weights of a model directory, in one file or in several that an index names. The caller closes them.
 *
 * @throws Error where there are none, a shard is missing, or one is not what the index says
 */
export async function openShards(directory: string): Promise<Safetensors> {
  const names = await shardNames(directory);
  if (names === null) return openSafetensors(join(directory, WEIGHTS_FILE));
  const opened: Safetensors[] = [];
  const closeAll = async () => {
    for (const shard of opened) await shard.close();
  };
  try {
    for (const name of names) opened.push(await openSafetensors(join(directory, name)));
    return joined(directory, opened, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function joined(directory: string, shards: Safetensors[], close: () => Promise<void>): Safetensors {
  const places = new Map(shards.flatMap((shard) => shard.tensorNames.map((name) => [name, shard] as const)));
  const find = (name: string): Safetensors => {
    const shard = places.get(name);
    if (shard === undefined) throw new Error(`${directory} has no tensor ${name}.`);
    return shard;
  };
  return {
    path: directory,
    tensorNames: [...places.keys()],
    has: (name) => places.has(name),
    shape: (name) => find(name).shape(name),
    readFloat32: (name) => find(name).readFloat32(name),
    async contentHash() {
      const hash = createHash("sha256");
      for (const shard of shards) hash.update(await shard.contentHash());
      return hash.digest("hex");
    },
    close,
  };
}
