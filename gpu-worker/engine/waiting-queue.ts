/** How long one step of priority may be made to wait by those that come later, in milliseconds. */
export const AGING_MS = 30_000;

/** What the queue must know of who waits. */
export type Waiting = {
  /** Lower is served earlier. */
  readonly priority: number;
  /** When it is of no use any more, in the clock's milliseconds; Infinity for never. */
  readonly deadline: number;
};

/**
 * Where a request stands in the queue, lower first: each step of priority counts as having come {@link AGING_MS} later. Of two that
 * wait, the order never changes, so this is the same as letting all age by a step every {@link AGING_MS}: first come, first served
 * within a priority, and nobody is overtaken by who comes more than (difference in priority) × {@link AGING_MS} later.
 *
 * @param arrived in the clock's milliseconds
 */
export function rank(priority: number, arrived: number): number {
  return arrived + priority * AGING_MS;
}

/** Who waits for a row, in the order in which rows are given. */
export class WaitingQueue<Entry extends Waiting> {
  readonly #places: { entry: Entry; rank: number }[] = [];

  get size(): number {
    return this.#places.length;
  }

  /** Who gets the next row. */
  get next(): Entry | undefined {
    return this.#places[0]?.entry;
  }

  [Symbol.iterator](): Iterator<Entry> {
    return this.#places.map(({ entry }) => entry).values();
  }

  /** @param now the clock's milliseconds, which never go back */
  push(entry: Entry, now: number): void {
    const place = { entry, rank: rank(entry.priority, now) };
    const behind = this.#places.findIndex((other) => other.rank > place.rank);
    this.#places.splice(behind < 0 ? this.#places.length : behind, 0, place);
  }

  /** Takes somebody out; who is not in is left alone. */
  remove(entry: Entry): void {
    const index = this.#places.findIndex((place) => place.entry === entry);
    if (index >= 0) this.#places.splice(index, 1);
  }

  /** Takes out those whose deadline has come. */
  expire(now: number): Entry[] {
    const late = [...this].filter(({ deadline }) => deadline <= now);
    for (const entry of late) this.remove(entry);
    return late;
  }
}
