import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { readJson, writeJson } from "./atomic-file.ts";
import type { StatePaths } from "./paths.ts";
import { StackError } from "./stack-error.ts";

const runningSchema = z.object({ pid: z.int(), url: z.string().nullable() });

export type StateLock = { publish(url: string): void; release(): void };

/**
 * Makes this process the only one that uses the state directory. The lock is SQLite's on a file of its own, so the operating
 * system releases it however the process ends and a stale one cannot exist.
 *
 * @throws StackError naming the process that holds it
 */
export function lockState(paths: StatePaths): StateLock {
  const database = new DatabaseSync(paths.lock);
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && error.message.includes("locked")) throw new StackError(describeHolder(paths));
    throw error;
  }
  writeJson(paths.running, { pid: process.pid, url: null });
  return {
    publish: (url) => writeJson(paths.running, { pid: process.pid, url }),
    release: () => {
      rmSync(paths.running, { force: true });
      database.close();
    },
  };
}

/** Where the stack that uses this state directory answers, or `null` where none does. */
export function runningUrl(paths: StatePaths): string | null {
  return runningSchema.safeParse(readJson(paths.running)).data?.url ?? null;
}

function describeHolder(paths: StatePaths): string {
  const { data } = runningSchema.safeParse(readJson(paths.running));
  const where = data?.url ? ` at ${data.url}` : "";
  const who = data === undefined ? "another process" : `process ${data.pid}`;
  const how = data === undefined ? "Stop it" : `Stop it with Ctrl-C in its terminal or \`kill ${data.pid}\``;
  return `Attune already runs from this folder${where} (${who}). ${how}, or use a second clone: two cannot share one database.`;
}
