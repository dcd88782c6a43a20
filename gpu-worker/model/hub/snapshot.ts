import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { HttpError, reasonOf } from "../http-error.ts";
import { parseJsonConfig } from "../json-config.ts";
import { DiskError } from "../part-file.ts";
import { mayPass } from "../patience.ts";
import { type PinnedFile, pullFile } from "../pinned-file.ts";
import { shardNames } from "../shards.ts";
import { type Choice, chooseShards } from "./choice.ts";
import { type Hub, hubSource, type Listing, listFiles } from "./hub.ts";
import { type HubId, hubIdText, isCommit } from "./hub-id.ts";
import { type Records, recordsIn } from "./records.ts";

export type SnapshotOptions = {
  hub: Hub;
  /** Of all repositories. */
  directory: string;
  signal: AbortSignal;
  /** Bytes so far of the weights. */
  onProgress: (received: number, total: number) => void;
  /** Told what is worth knowing though it works. */
  onNotice: (text: string) => void;
};

/** Files fetched at once: enough to hide the wait between two, few enough to share one line. */
const AT_ONCE = 4;

/**
 * The path of a file or directory from the hub, complete and with the hashes that the hub states. A name is resolved to a commit
 * first, and a commit never changes: what was fetched once is found again without the hub.
 *
 * @throws Error that says what was asked, what is wrong with it and what to do
 * @throws DiskError where the cache cannot be written
 * @throws the signal's reason, once it is aborted
 */
export async function pullSnapshot(
  id: HubId,
  choose: (id: HubId, files: PinnedFile[]) => Choice,
  options: SnapshotOptions,
): Promise<string> {
  const records = recordsIn(join(options.directory, id.owner, id.name));
  const { commit, files } = await resolve(id, records, options);
  const directory = records.snapshot(commit);
  const pullAll = (chosen: PinnedFile[], onProgress: SnapshotOptions["onProgress"]) => {
    const pullOne = async (file: PinnedFile, onReceived: (received: number) => void, signal: AbortSignal) => {
      const sources = [...(await records.earlier(commit, file)), hubSource(options.hub, id, commit, file.file)];
      await pullFile(file, directory, sources, { onReceived, signal });
    };
    return pullTogether(chosen, pullOne, onProgress, options.signal);
  };

  const { opens, settings, weights } = choose(id, files);
  await pullAll(settings, () => {});
  if (settings.some(({ file }) => file === "config.json")) await checkConfig(directory);
  const shards = weights ?? chooseShards(id, files, (await shardNames(directory)) ?? []);
  await pullAll(shards, options.onProgress);
  return join(directory, opens);
}

/** Which commit is meant, and its files: from the hub, or where it cannot be asked, as they were when it last was. */
async function resolve(id: HubId, records: Records, options: SnapshotOptions): Promise<Listing> {
  const { hub, signal, onNotice } = options;
  const known = await records.read(id.revision);
  if (known !== null && isCommit(id.revision)) return known;
  try {
    // With something to fall back on, nobody wants to wait for a hub in trouble.
    const patience = known === null ? hub.patience : { ...hub.patience, delays: [] };
    const listing = await listFiles(hub, id, id.revision, { patience, signal });
    await records.write(id.revision, listing);
    return listing;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof DiskError) throw error;
    const reason = reasonOf(error);
    const refused = error instanceof Error && error.cause instanceof HttpError && !mayPass(error.cause);
    if (known === null) throw new Error(`Could not obtain ${hubIdText(id)}: ${reason}.`, { cause: error });
    if (!refused) {
      onNotice(`Could not ask ${hub.endpoint} (${reason}): ${hubIdText(id)} is taken from the cache, ${known.commit}.`);
      return known;
    }
    const cached = hubIdText({ ...id, revision: known.commit });
    throw new Error(`Could not obtain ${hubIdText(id)}: ${reason}. What the cache has of it is ${cached}.`, {
      cause: error,
    });
  }
}

/** Refuses a model that cannot be served before its weights are fetched. */
async function checkConfig(directory: string): Promise<void> {
  const path = join(directory, "config.json");
  parseJsonConfig(path, await readFile(path, "utf8"));
}

/** Pulls files, a few at once. When one fails, the others stop too, and keep what they have. */
async function pullTogether(
  files: PinnedFile[],
  pullOne: (file: PinnedFile, onReceived: (received: number) => void, signal: AbortSignal) => Promise<void>,
  onProgress: SnapshotOptions["onProgress"],
  signal: AbortSignal,
): Promise<void> {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let received = 0;
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const rest = files.values();
  const pullSome = async () => {
    for (const file of rest) {
      stop.throwIfAborted();
      let ofFile = 0;
      const onReceived = (bytes: number) => {
        received += bytes - ofFile;
        ofFile = bytes;
        onProgress(received, total);
      };
      await pullOne(file, onReceived, stop);
    }
  };
  const pullers = Array.from({ length: AT_ONCE }, () => pullSome().catch((error) => failed.abort(error)));
  await Promise.all(pullers);
  stop.throwIfAborted();
}
