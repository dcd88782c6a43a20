import type { ServerResponse } from "node:http";
import type { GenerationLog } from "./generation-log.ts";

/** Generations that wait for their model's weights or their format's grammar. The engine does not know them yet, so they are cancelled here. */
export class Arrivals {
  readonly #waiting = new Set<string>();
  readonly #log: GenerationLog;

  constructor(log: GenerationLog) {
    this.#log = log;
  }

  /**
   * Waits until all that a generation needs is there.
   *
   * @returns `null` where the generation was cancelled or its connection closed meanwhile
   * @throws what `ready` rejects with
   */
  async until<T>(id: string, ready: Promise<T>, response: ServerResponse): Promise<T | null> {
    const leave = () => this.cancel(id);
    this.#waiting.add(id);
    response.on("close", leave);
    try {
      const needed = await ready;
      return this.#waiting.has(id) ? needed : null;
    } finally {
      response.off("close", leave);
      this.#waiting.delete(id);
    }
  }

  /** Ends one that waits here, which has used nothing; any other is left alone. */
  cancel(id: string): void {
    if (!this.#waiting.delete(id)) return;
    this.#log.begin(id, 0);
    this.#log.end(id, "cancelled", 0);
  }
}
