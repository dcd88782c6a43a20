import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type LogFile, openLog, tail } from "./log-file.ts";
import { repository } from "./paths.ts";
import { StackError } from "./stack-error.ts";

/** How long a stop lets running answers go on; then the process is given as long again before it is killed. */
const DRAIN_SECONDS = 5;
const READY_MS = 120_000;
const POLL_MS = 50;

const listeningSchema = z.object({ type: z.literal("listening"), url: z.url() });

export type InferenceWorker = {
  url: string;
  pid: number;
  /** Resolves once its model is loaded. */
  ready: Promise<void>;
  /** Resolves with the reason when the process ends by itself; never otherwise. */
  died: Promise<StackError>;
  stop(): Promise<void>;
};

/**
 * Starts the inference worker on a free port.
 *
 * @throws StackError with the end of its log
 */
export async function startInferenceWorker(options: {
  model: string;
  adapter: string;
  secret: string;
  logPath: string;
}): Promise<InferenceWorker> {
  const log = openLog(options.logPath);
  const child = fork(join(repository, "gpu-worker", "cli.ts"), serveArguments(options), {
    cwd: repository,
    env: { ...process.env, ATTUNE_WORKER_SECRET: options.secret },
    execArgv: [],
    stdio: ["ignore", log.descriptor, log.descriptor, "ipc"],
  });
  let stopping = false;
  const ended = endOf(child, log);
  const died = ended.then((error) => (stopping ? new Promise<never>(() => {}) : error));

  const stop = async () => {
    stopping = true;
    child.kill("SIGTERM");
    await Promise.race([ended, sleep(2 * DRAIN_SECONDS * 1000, undefined, { ref: false })]);
    if (isRunning(child)) child.kill("SIGKILL");
    await ended;
    log.close();
  };

  try {
    const url = await Promise.race([listening(child), died.then(rethrow)]);
    const ready = Promise.race([untilReady(url), died.then(rethrow)]);
    // Awaited by the caller after other work; until then a failure is not unhandled.
    ready.catch(() => {});
    return { url, pid: child.pid ?? 0, ready, died, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function serveArguments({ model, adapter }: { model: string; adapter: string }): string[] {
  return [
    "serve",
    "--model",
    model,
    "--adapter",
    adapter,
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--drain",
    String(DRAIN_SECONDS),
  ];
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function rethrow(error: StackError): never {
  throw error;
}

async function endOf(child: ChildProcess, log: LogFile): Promise<StackError> {
  const [outcome, signal] = await Promise.race([once(child, "exit"), once(child, "error")]);
  const how =
    outcome instanceof Error ? outcome.message : signal === null ? `exit code ${outcome}` : `signal ${signal}`;
  return new StackError(`The inference worker ended (${how}). The end of its log, ${log.path}:\n${tail(log.path)}`);
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on("message", (message) => {
      const { data } = listeningSchema.safeParse(message);
      if (data !== undefined) resolve(data.url.replace(/\/$/, ""));
    });
  });
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline) {
    const response = await fetch(`${url}/readyz`).catch(() => null);
    await response?.body?.cancel();
    if (response?.status === 200) return;
    await sleep(POLL_MS);
  }
  throw new StackError(`The inference worker was not ready within ${READY_MS / 1000} seconds.`);
}
