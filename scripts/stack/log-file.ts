import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** A log that starts empty with every run. */
export type LogFile = { path: string; descriptor: number; line(text: string): void; close(): void };

export function openLog(path: string): LogFile {
  mkdirSync(dirname(path), { recursive: true });
  const descriptor = openSync(path, "w", 0o600);
  return {
    path,
    descriptor,
    line: (text) => void writeSync(descriptor, `${text}\n`),
    close: () => closeSync(descriptor),
  };
}

/** The log's last lines, to show with a failure. */
export function tail(path: string, lines = 12): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-lines).map(readable).join("\n");
}

/** One of pino's JSON lines as its message and error; any other line as it is. */
function readable(line: string): string {
  if (!line.startsWith("{")) return line;
  try {
    const { msg = "", err } = JSON.parse(line);
    return [msg, err?.stack ?? err?.message].filter(Boolean).join("\n") || line;
  } catch {
    return line;
  }
}
