import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Makes a directory this process's own until the lock is closed. The lock is SQLite's on a file of its own: the operating system releases it
 * however the process ends.
 *
 * @throws Error where another process has it, or it cannot be written
 */
export async function lockDirectory(directory: string): Promise<DatabaseSync> {
  await mkdir(directory, { recursive: true });
  const lock = new DatabaseSync(join(directory, "lock"));
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    if (!(error instanceof Error && error.message.includes("locked"))) throw error;
    throw new Error(`Another process works in ${directory}. Wait for it, stop it, or name another directory.`, {
      cause: error,
    });
  }
}
