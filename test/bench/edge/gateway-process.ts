import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** Longest that a gateway may take until it answers: LiteLLM reads a lot of Python first. */
const START_MS = 300_000;
const POLL_MS = 100;
/** Lines of its own output that are kept to explain its death. */
const KEPT_LINES = 8;

/** A free port, for programs that cannot say which one they took. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("there is no free port");
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

export type Command = { command: string; args: string[]; env?: Record<string, string> };

/** A program in a process of its own, which ends with this one. */
export class GatewayProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #death: string | null = null;

  /** @throws Error where it cannot be started */
  constructor({ command, args, env = {} }: Command) {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.#child = child;
    child.once("error", (error) => this.#die(error.message));
    child.once("exit", (code, signal) => this.#die(`it ended with ${signal ?? `exit code ${code}`}`));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        this.#lines.push(line);
        if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      });
    }
    process.once("exit", () => child.kill("SIGKILL"));
    this.pid = child.pid ?? -1;
  }

  /** Waits until it answers there, with whatever status. @throws Error with the reason and its last lines */
  async answering(url: string): Promise<void> {
    const deadline = performance.now() + START_MS;
    while (this.#death === null && performance.now() < deadline) {
      const answered = await fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
        (response) => response.body?.cancel().then(() => true) ?? true,
        () => false,
      );
      if (answered) return;
      await sleep(POLL_MS);
    }
    const reason = this.#death ?? `it did not answer within ${START_MS / 1000} s`;
    throw new Error([reason, ...this.#lines].join("\n"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#death !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  #die(reason: string): void {
    this.#death ??= reason;
  }
}
