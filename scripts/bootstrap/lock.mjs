import { mkdirSync, rmSync, statSync, utimes } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const HEARTBEAT_MS = 1000;

/** A lock whose holder has not touched it for this long belongs to a process that was killed. */
const STALE_MS = 10_000;

/**
 * Runs `task` while no other process runs one under the same lock. The lock is a directory, which only one process can create.
 *
 * @param {string} directory
 * @param {string} name
 * @param {() => Promise<void>} task
 */
export async function withLock(directory, name, task) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lock = join(directory, name);
  let told = false;
  while (!take(lock)) {
    if (!told) console.error("Another command is installing the dependencies; waiting for it …");
    told = true;
    await sleep(200);
  }

  const release = () => rmSync(lock, { recursive: true, force: true });
  const onSignal = () => process.exit(130);
  // Should the lock be gone, as after a suspend longer than STALE_MS, there is nothing left to keep alive.
  const heartbeat = setInterval(() => utimes(lock, new Date(), new Date(), () => {}), HEARTBEAT_MS);
  process.once("exit", release);
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    await task();
  } finally {
    clearInterval(heartbeat);
    process.off("exit", release).off("SIGINT", onSignal).off("SIGTERM", onSignal);
    release();
  }
}

/** @param {string} lock */
function take(lock) {
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
  if (age > STALE_MS) rmSync(lock, { recursive: true, force: true });
  return false;
}
