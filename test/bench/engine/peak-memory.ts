import { readFileSync } from "node:fs";

/** The most memory a running process ever held, in MiB; `null` where the system does not tell. Pages of a mapped file count. */
export function peakMiB(pid: number | undefined): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    return kibibytes === undefined ? null : Math.round(Number(kibibytes) / 1024);
  } catch {
    return null;
  }
}
