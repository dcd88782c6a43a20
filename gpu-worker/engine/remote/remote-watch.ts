import { setTimeout as delay } from "node:timers/promises";
import { chooseModel, type RemoteModel, RemoteSetupError } from "./remote-model.ts";
import type { RemoteServer } from "./remote-server.ts";
import { describe } from "./unreachable.ts";

type WatchOptions = {
  /** What the server calls the model that is wanted; its only one where none is given. */
  model: string | undefined;
  /** How often its health is asked for, in milliseconds. */
  pollMs: number;
  onFound: () => void;
  /** Told at every look at a server that cannot be used. */
  onAway: (reason: string) => void;
  /** Told the first time of those. */
  onLost: (reason: string) => void;
  /** Told when there is nothing to wait for. */
  onHopeless: (reason: string) => void;
};

/** Longest wait for an answer about health, in milliseconds: a busy server may be slow. */
const HEALTH_TIMEOUT = 10_000;

/** Looks after a server: whether it can be used, and what it calls the model. */
export class RemoteWatch {
  readonly #server: RemoteServer;
  readonly #options: WatchOptions;
  readonly #closing = new AbortController();
  readonly #watching: Promise<void>;
  #model: RemoteModel | null = null;
  #lost = false;
  #lastSign = performance.now();

  constructor(server: RemoteServer, options: WatchOptions) {
    this.#server = server;
    this.#options = options;
    this.#watching = this.#watch();
  }

  /** `null` while the server cannot be used. */
  get model(): RemoteModel | null {
    return this.#model;
  }

  /** Milliseconds since the last sign of the server. */
  get silence(): number {
    return performance.now() - this.#lastSign;
  }

  /** Notes a sign of the server. */
  hear(): void {
    this.#lastSign = performance.now();
  }

  /** Notes that the server could not be reached. */
  lose(reason: string): void {
    this.#model = null;
    if (!this.#lost) this.#options.onLost(reason);
    this.#lost = true;
    this.#options.onAway(reason);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#look(signal);
      await delay(this.#options.pollMs, undefined, { signal }).catch(() => {});
    }
  }

  async #look(closing: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([closing, AbortSignal.timeout(HEALTH_TIMEOUT)]);
    try {
      await this.#server.checkHealth(signal);
      // A server that was away may have come back with another model.
      if (this.#model === null) this.#found(chooseModel(await this.#server.listModels(signal), this.#options.model));
      this.hear();
    } catch (error) {
      if (closing.aborted) return;
      this.lose(describe(error));
      if (!(error instanceof RemoteSetupError)) return;
      this.#closing.abort();
      this.#options.onHopeless(error.message);
    }
  }

  #found(model: RemoteModel): void {
    this.#model = model;
    this.#lost = false;
    this.#options.onFound();
  }
}
