import { randomUUID } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** Writes a file that others see whole or not at all. */
export function writeJson(file: string, value: unknown, mode = 0o600): void {
  const partial = `${file}.${randomUUID()}`;
  try {
    writeFileSync(partial, `${JSON.stringify(value, null, 2)}\n`, { mode });
    renameSync(partial, file);
  } finally {
    rmSync(partial, { force: true });
  }
}

/** The file's JSON, or `null` where there is no such file. */
export function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
