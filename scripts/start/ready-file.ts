import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { writeJson } from "../stack/atomic-file.ts";

/** What another program needs to use a stack that is ready. */
export type ReadyStack = { url: string; key: string; playground: string; pid: number };

export function writeReadyFile(path: string, ready: ReadyStack): void {
  mkdirSync(dirname(path), { recursive: true });
  writeJson(path, ready);
}

/** Removed first thing and last thing, so that the file is there only while the stack is. */
export function removeReadyFile(path: string): void {
  rmSync(path, { force: true });
}
