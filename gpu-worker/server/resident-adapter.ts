import { AttuneError } from "../../schema/wire/errors.ts";
import type { BankedAdapter } from "../engine/sequence.ts";
import { PATIENCE_MS } from "./lazy-engine.ts";
import type { ModelHost } from "./model-host.ts";
import { within } from "./within.ts";

/** An adapter as operators see it. */
export type AdapterState = {
  name: string;
  /** Draining: it takes no new requests, and its place is free once the running ones have ended. */
  state: "loading" | "ready" | "draining";
  /** Its largest. */
  rank: number;
  /** Of the bank. */
  bytes: number;
  /** Requests that compute with it, or wait to. */
  requests: number;
  /** Hash of its content: files, and the steering profile. */
  content: string;
};

export type ResidentAdapterOptions = {
  name: string;
  rank: number;
  bytes: number;
  /** Its content's hash and its place. */
  banked: BankedAdapter;
  /** The model that requests name. */
  host: (adapter: ResidentAdapter) => ModelHost;
  /** Settles when its matrices are in the bank. */
  loaded: Promise<void>;
  /** Its place can be given to another one. */
  onFree: () => void;
};

/** One content under one name, from when it is given a place in the bank until nobody computes with it any more. */
export class ResidentAdapter {
  readonly name: string;
  readonly banked: BankedAdapter;
  readonly host: ModelHost;
  /** Settles when it can be computed with; rejects where it cannot be loaded. */
  readonly ready: Promise<void>;
  readonly #options: ResidentAdapterOptions;
  #isLoading = true;
  #isRetired = false;
  #isFree = false;
  #leases = 0;

  constructor(options: ResidentAdapterOptions) {
    this.#options = options;
    this.name = options.name;
    this.banked = options.banked;
    this.host = options.host(this);
    this.ready = options.loaded.finally(() => {
      this.#isLoading = false;
      this.#settle();
    });
    // Whoever asked for it hears of a failure; it need not be a request's.
    this.ready.catch(() => {});
  }

  get state(): AdapterState {
    const { name, rank, bytes, banked } = this.#options;
    const state = this.#isRetired ? "draining" : this.#isLoading ? "loading" : "ready";
    return { name, state, rank, bytes, requests: this.#leases, content: banked.key };
  }

  /** Keeps its place for somebody who computes with it. @returns ends that, once */
  lease(): () => void {
    this.#leases += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#leases -= 1;
      this.#settle();
    };
  }

  /**
   * For a request, which waits where it is still being loaded.
   *
   * @param left gives the wait up
   * @throws AttuneError `worker_unavailable`
   */
  async forRequest(left?: AbortSignal): Promise<void> {
    if (!this.#isLoading) return;
    const { name } = this;
    const failed = this.ready.catch(() => {
      throw new AttuneError("worker_unavailable", `The adapter ${name} could not be loaded. Ask the operator.`);
    });
    const late = () =>
      new AttuneError("worker_unavailable", `The adapter ${name} is being loaded. Try again in a few seconds.`);
    await within(PATIENCE_MS, failed, late, left);
  }

  /** Lets no new request have it. Its place is free once those that have it, and the loading, have ended. */
  retire(): void {
    this.#isRetired = true;
    this.#settle();
  }

  #settle(): void {
    if (!this.#isRetired || this.#isLoading || this.#leases > 0 || this.#isFree) return;
    this.#isFree = true;
    this.#options.onFree();
  }
}
