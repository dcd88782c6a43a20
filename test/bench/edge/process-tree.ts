import { readdirSync, readFileSync } from "node:fs";

/** Linux counts processor time for user space in hundredths of a second on every architecture. */
const TICKS_PER_SECOND = 100;

type Process = { parent: number; cpuSeconds: number };

/** `null` where the process has ended, or there is no /proc. */
function readProcess(pid: string): Process | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name stands in parentheses and may hold anything; state comes first after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number);
    if (parent === undefined || user === undefined || system === undefined) return null;
    return { parent, cpuSeconds: (user + system) / TICKS_PER_SECOND };
  } catch {
    return null;
  }
}

/** Processor seconds that a process and all below it have used; `null` where the system does not tell. */
export function cpuSecondsOfTree(root: number): number | null {
  let pids: string[];
  try {
    pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return null;
  }
  const processes = new Map<number, Process>();
  for (const pid of pids) {
    const process = readProcess(pid);
    if (process !== null) processes.set(Number(pid), process);
  }
  if (!processes.has(root)) return null;
  const isBelow = (pid: number): boolean => {
    if (pid === root) return true;
    const process = processes.get(pid);
    return process !== undefined && process.parent !== pid && isBelow(process.parent);
  };
  let seconds = 0;
  for (const [pid, { cpuSeconds }] of processes) if (isBelow(pid)) seconds += cpuSeconds;
  return seconds;
}

/** Processor seconds that a process tree uses while `work` goes on. */
export async function spentBy<T>(
  root: number,
  work: () => Promise<T>,
): Promise<{ result: T; cpuSeconds: number | null }> {
  const before = cpuSecondsOfTree(root);
  const result = await work();
  const after = cpuSecondsOfTree(root);
  return { result, cpuSeconds: before === null || after === null ? null : after - before };
}
