/** Text that may go out, and whether a stop string was met. */
export type StopResult = { text: string; stopped: boolean };

/**
 * Watches a text for stop strings that may span any number of pieces. Holds back only the longest end that could still become a
 * stop string; the stop string itself never goes out.
 */
export class StopMatcher {
  readonly #stops: string[];
  #held = "";

  constructor(stops: string[]) {
    this.#stops = stops;
  }

  /** @param mayStop whether a stop string that ends in this piece counts. */
  push(piece: string, mayStop = true): StopResult {
    const text = this.#held + piece;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
    if (mayStop && found.length > 0) {
      this.#held = "";
      return { text: text.slice(0, Math.min(...found)), stopped: true };
    }
    const held = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - held);
    return { text: text.slice(0, text.length - held), stopped: false };
  }

  /** What was held back, once nothing more comes. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}

/** Length of the longest end of `text` that is a proper beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
