/** Ends work in an orderly way at the first SIGINT or SIGTERM; at a second one the process ends at once. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #stop: () => void;

  /** @param reason what whoever waits for the work is told */
  constructor(reason = "Interrupted before a step was taken.") {
    this.#stop = () => this.#controller.abort(new Error(reason));
    process.once("SIGINT", this.#stop);
    process.once("SIGTERM", this.#stop);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#stop);
    process.off("SIGTERM", this.#stop);
  }
}
