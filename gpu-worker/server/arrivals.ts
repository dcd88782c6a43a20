import type { ServerResponse } from "node:http";
import type { GenerationLog } from "./generation-log.ts";

/** Generations that wait for their model's weights or their format's grammar. The engine does not know them yet, so they are cancelled here. */
export class Arrivals {
  /** How each is told that nobody waits for it any more. */
  readonly #waiting = new Map<string, () => void>();
  readonly #log: GenerationLog;

  constructor(log: GenerationLog) {
    this.#log = log;
  }

  /**
   * Waits until all that a generation needs is there.
   *
   * @returns `null` as soon as the generation was cancelled or its connection closed
   * @throws what `ready` rejects with
   */
  async until<T>(id: string, ready: Promise<T>, response: ServerResponse): Promise<T | null> {
    const leave = () => this.cancel(id);
    const left = Promise.withResolvers<null>();
    this.#waiting.set(id, () => left.resolve(null));
    response.on("close", leave);
    try {
      const needed = await Promise.race([ready, left.promise]);
      return this.#waiting.has(id) ? needed : null;
    } finally {
      response.off("close", leave);
      this.#waiting.delete(id);
    }
  }

  /** Ends one that waits here, which has used nothing; any other is left alone. */
  cancel(id: string): void {
    const leave = this.#waiting.get(id);
    if (leave === undefined) return;
    this.#waiting.delete(id);
    this.#log.begin(id, 0);
    this.#log.end(id, "cancelled", 0);
    leave();
  }
}
