/** How long a flush may take before another one no longer relies on it: its request may have been broken off. */
const LOST_AFTER_MS = 10_000;

/**
 * Gathers what requests of one isolate leave behind, so that one call tells of many. The first to come waits a little, and then sends
 * what came meanwhile; the others wait for nothing. Holds plain values, never I/O objects, which belong to one request.
 */
export class Batch<Item> {
  readonly #waitMs: number;
  readonly #most: number;
  #items: Item[] = [];
  #waitingSince: number | null = null;

  /** @param options.most how many are kept at a time; what comes on top of them is refused */
  constructor(options: { waitMs: number; most: number }) {
    this.#waitMs = options.waitMs;
    this.#most = options.most;
  }

  /** Whether it was taken; there is no room where sending cannot keep up. */
  add(item: Item): boolean {
    if (this.#items.length >= this.#most) return false;
    this.#items.push(item);
    return true;
  }

  /**
   * What came within the time that is waited; empty where another request waits already, and will take it.
   *
   * @param now Unix milliseconds.
   */
  async collect(now: number): Promise<Item[]> {
    if (this.#waitingSince !== null && now - this.#waitingSince < LOST_AFTER_MS) return [];
    this.#waitingSince = now;
    await new Promise((resolve) => setTimeout(resolve, this.#waitMs));
    const items = this.#items;
    this.#items = [];
    this.#waitingSince = null;
    return items;
  }
}
