import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { peakMiB } from "./peak-memory.ts";
import { type CellRequest, type EngineReply, parseReply } from "./protocol.ts";

/** Longest that loading or one cell may take, in milliseconds. */
const PATIENCE = 240_000;

/** Lines of an engine's own output that are kept to explain its death. */
const KEPT_LINES = 8;

export type Command = { command: string; args: string[] };

/** One engine in a process of its own, so that its memory, its threads and its crashes are its own. */
export class EngineProcess<Request = CellRequest> {
  readonly #child: ChildProcess;
  readonly #chatter: string[] = [];
  #waiting: PromiseWithResolvers<EngineReply> | null = null;
  #death: string | null = null;
  version = "unknown";
  detail = "";
  /** Where it listens, if it is a server. */
  url = "";

  private constructor({ command, args }: Command) {
    this.#child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
    });
    // A child that dies while a request is written to it is told of by its exit.
    this.#child.stdin?.on("error", () => {});
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.#hear(line));
    }
    this.#child.on("error", (error) => this.#die(error.message));
    process.once("exit", () => this.#child.kill("SIGKILL"));
    this.#child.on("close", (code, signal) => this.#die(`it ended with ${signal ?? `exit code ${code}`}`));
  }

  /** Starts an engine and waits until it is loaded. @throws Error with the reason and its last lines */
  static async start<Request = CellRequest>(command: Command): Promise<EngineProcess<Request>> {
    const engine = new EngineProcess<Request>(command);
    const reply = await engine.#reply();
    if (reply.type !== "ready") throw new Error("it answered before it was asked");
    engine.version = reply.version;
    engine.detail = reply.detail;
    engine.url = reply.url ?? "";
    return engine;
  }

  /** Computes a cell. @throws Error where the engine fails, dies or takes too long */
  async measure(request: Request): Promise<number> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const reply = await this.#reply();
    if (reply.type === "failed") throw new Error(reply.reason);
    if (reply.type !== "result" || !Number.isFinite(reply.value)) throw new Error("it returned no number");
    return reply.value;
  }

  get peakMiB(): number | null {
    return peakMiB(this.#child.pid);
  }

  async stop(): Promise<void> {
    if (this.#death !== null) return;
    const closed = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGKILL");
    await closed;
  }

  async #reply(): Promise<EngineReply> {
    if (this.#death !== null) throw new Error(this.#death);
    const waiting = Promise.withResolvers<EngineReply>();
    this.#waiting = waiting;
    const timer = setTimeout(() => {
      this.#child.kill("SIGKILL");
      waiting.reject(new Error(`it took longer than ${PATIENCE / 1000} s`));
    }, PATIENCE);
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting = null;
    }
  }

  #hear(line: string): void {
    const reply = parseReply(line);
    if (reply !== null) {
      this.#waiting?.resolve(reply);
      return;
    }
    this.#chatter.push(line);
    if (this.#chatter.length > KEPT_LINES) this.#chatter.shift();
  }

  #die(reason: string): void {
    this.#death ??= [reason, ...this.#chatter].join("\n");
    this.#waiting?.reject(new Error(this.#death));
  }
}
