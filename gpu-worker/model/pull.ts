import { stat } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "./cache.ts";
import { reasonOf } from "./http-error.ts";
import { chooseAdapter, chooseModel } from "./hub/choice.ts";
import { type Hub, hubFrom } from "./hub/hub.ts";
import { hubIdHint, hubIdText, isHubId, parseHubId } from "./hub/hub-id.ts";
import { pullSnapshot } from "./hub/snapshot.ts";
import { DEFAULT_MODEL, defaultSources } from "./model-sources.ts";
import { DiskError, fileSize } from "./part-file.ts";
import { pullFile } from "./pinned-file.ts";

/** Bytes so far of what is fetched, and where from. */
export type PullProgress = { source: string; received: number; total: number };

export type PullOptions = {
  /** What the user named: a path, which is taken as it is, whatever its content, or `hf:owner/name@revision:file`. */
  path?: string | undefined;
  cache?: string;
  hub?: Hub;
  /** Ends a download; what came of it is kept for the next one. */
  signal?: AbortSignal | undefined;
  onProgress?: (progress: PullProgress) => void;
  /** Told what is worth knowing though it works, such as that the hub cannot be reached. */
  onNotice?: (text: string) => void;
};

/**
 * The path of a model that is complete and, unless it is the user's own file, has the stated hashes: `path`, else `ATTUNE_MODEL`,
 * else SmolLM2-135M-Instruct.
 *
 * @throws Error that names what was tried, the reason, and what to do
 * @throws DiskError where the cache cannot be written
 * @throws the signal's reason, once it is aborted
 */
export async function pullModel(options: PullOptions = {}): Promise<string> {
  const own = options.path ?? process.env.ATTUNE_MODEL;
  if (own === undefined || own === "") return pullDefault(options);
  return isHubId(own) ? pullFromHub(own, chooseModel, options) : localModel(own);
}

/** The directory of an adapter, as `pullModel` finds a model. Whether it is one is for who opens it to say. */
export async function pullAdapter(path: string, options: PullOptions = {}): Promise<string> {
  if (isHubId(path)) return pullFromHub(path, chooseAdapter, options);
  await existing(path, "adapter", "--adapter and ATTUNE_ADAPTER");
  return path;
}

/** The directory of an attribute prediction model, in the same way. */
export async function pullAttributeModel(path: string, options: PullOptions = {}): Promise<string> {
  if (isHubId(path)) return pullFromHub(path, chooseAdapter, options);
  await existing(path, "attribute prediction model", "--apm and ATTUNE_APM");
  return path;
}

function pullFromHub(text: string, choose: typeof chooseModel, options: PullOptions): Promise<string> {
  const { cache = cacheDirectory(), hub = hubFrom(), onProgress, onNotice = () => {} } = options;
  const id = parseHubId(text);
  return pullSnapshot(id, choose, {
    hub,
    directory: join(cache, "hub"),
    signal: options.signal ?? new AbortController().signal,
    onProgress: (received, total) => onProgress?.({ source: hubIdText(id), received, total }),
    onNotice,
  });
}

async function pullDefault(options: PullOptions): Promise<string> {
  const { cache = cacheDirectory(), hub = hubFrom(), onProgress } = options;
  const { signal = new AbortController().signal } = options;
  const onReceived = (received: number, source: string | null) => {
    if (source !== null) onProgress?.({ source, received, total: DEFAULT_MODEL.bytes });
  };
  try {
    return await pullFile(DEFAULT_MODEL, join(cache, "models"), defaultSources(hub), { onReceived, signal });
  } catch (error) {
    if (signal.aborted || error instanceof DiskError) throw error;
    throw new Error(
      `${reasonOf(error)}\nGet a GGUF file of a Llama-family model in any other way and give its path: npm start -- --model FILE, or ` +
        "set ATTUNE_MODEL=FILE.",
      { cause: error },
    );
  }
}

async function localModel(path: string): Promise<string> {
  const stats = await existing(path, "model", "--model and ATTUNE_MODEL");
  const isDirectory = stats.isDirectory() && (await fileSize(join(path, "config.json"))) > 0;
  if (stats.isFile() || isDirectory) return path;
  throw new Error(
    `${path} is no model. --model and ATTUNE_MODEL take a GGUF file, a directory with config.json and safetensors, or ` +
      "hf:owner/name.",
  );
}

async function existing(path: string, what: string, options: string) {
  return stat(path).catch((error: unknown) => {
    throw new Error(`There is no ${what} at ${path} (${reasonOf(error)}). Check ${options}.${hubIdHint(path)}`);
  });
}
