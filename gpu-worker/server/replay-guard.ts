import { SIGNATURE_WINDOW } from "../../schema/wire/signature.ts";

/** Ids remembered, some 100 bytes each: at 300 requests a second, all of the window's. */
const REMEMBERED = 200_000;

/**
 * Remembers which signed requests were accepted, as long as their timestamps are within the window, after which the signature alone is
 * refused. Where more come than it may remember, it forgets the oldest and takes nothing as old any more, so that nothing can ever be
 * accepted twice.
 */
export class ReplayGuard {
  readonly #capacity: number;
  /** Ids by the second of their timestamp. */
  readonly #seconds = new Map<number, Set<string>>();
  #size = 0;
  /** The latest second of which ids were forgotten. */
  #forgotten = Number.NEGATIVE_INFINITY;

  constructor(capacity = REMEMBERED) {
    this.#capacity = capacity;
  }

  /**
   * Whether a request with a valid signature comes for the first time.
   *
   * @param timestamp its own, in Unix seconds
   * @param now Unix seconds
   */
  accept(id: string, timestamp: number, now: number): boolean {
    this.#forgetExpired(now);
    const ids = this.#seconds.get(timestamp) ?? new Set();
    if (timestamp <= this.#forgotten || ids.has(id)) return false;
    this.#seconds.set(timestamp, ids.add(id));
    this.#size += 1;
    while (this.#size > this.#capacity) this.#forget(Math.min(...this.#seconds.keys()));
    return true;
  }

  #forgetExpired(now: number): void {
    for (const second of this.#seconds.keys()) if (second < now - SIGNATURE_WINDOW) this.#forget(second);
  }

  #forget(second: number): void {
    this.#size -= this.#seconds.get(second)?.size ?? 0;
    this.#seconds.delete(second);
    this.#forgotten = Math.max(this.#forgotten, second);
  }
}
