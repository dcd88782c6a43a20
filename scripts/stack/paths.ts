import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../..", import.meta.url));

/** Everything a running stack writes. */
export const DEFAULT_STATE_DIRECTORY = join(repository, ".attune");

export type StatePaths = ReturnType<typeof statePaths>;

export function statePaths(directory: string) {
  return {
    directory,
    lock: join(directory, "lock.sqlite"),
    running: join(directory, "running.json"),
    secrets: join(directory, "secrets.json"),
    /** The built Worker. */
    bundle: join(directory, "edge"),
    /** D1 and Durable Objects, laid out as `wrangler --persist-to` does. */
    persisted: join(directory, "state"),
    edgeLog: join(directory, "logs", "edge.log"),
    workerLog: join(directory, "logs", "worker.log"),
  };
}
