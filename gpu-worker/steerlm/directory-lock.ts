import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { writingFailed } from "../model/save-file.ts";

/**
 * Makes a directory this process's own until the lock is closed. The lock is SQLite's on a file of its own: the operating system releases it
 * however the process ends.
 *
 * @param verb what another process that has it does there
 * @throws Error where another process has it, or it cannot be written
 */
export async function lockDirectory(directory: string, verb = "works"): Promise<DatabaseSync> {
  await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    throw writingFailed(directory, error);
  });
  const file = join(directory, "lock");
  const lock = new DatabaseSync(file);
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    if (!(error instanceof Error && error.message.includes("locked"))) throw writingFailed(file, error);
    throw new Error(
      `Another process ${verb} in ${directory}. Wait for it, stop it with Ctrl-C, or name another directory.`,
      { cause: error },
    );
  }
}
