import { SHARE_ENV, Worker } from "node:worker_threads";
import { AttuneError } from "../../schema/wire/errors.ts";
import type { JudgedAnswer } from "../model/attribute-text.ts";
import type { Predictions, ScorerOptions } from "../runtime/attribute-scorer.ts";
import type { FromReader, Reading, ToReader } from "./attribute-messages.ts";
import { within } from "./within.ts";

/** Answers that are read in one go, whosoever they are: as many long ones as fill a pass, for which those who come next wait. */
const READ_AT_ONCE = 4;

/** How long a request waits: on a busy machine a few long answers take a minute, as does loading the model for the first time. */
const PATIENCE_MS = 300_000;

/** How long the thread may take to end by itself: a batch, or loading the model. */
const CLOSE_MS = 20_000;

type ReaderOptions = {
  setup: ScorerOptions;
  /** Answers that may wait to be read. */
  waiting: number;
  /** Told why the model could not be loaded, or stopped. */
  onFailure: (reason: string) => void;
  patienceMs?: number;
};

type Waiting = { answer: JudgedAnswer; read: (reading: Reading) => void; fail: (reason: Error) => void };

/**
 * An attribute prediction model in a thread of its own, which is started when something is first to be read, and again after a failure.
 * What several requests ask for is read together.
 */
export class AttributeReader {
  readonly #options: ReaderOptions;
  #queue: Waiting[] = [];
  /** What the thread has. */
  #batch: Waiting[] = [];
  #thread: Worker | null = null;
  #isReady = false;
  #isClosing = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /**
   * What the model predicts of each answer.
   *
   * @param left gives the wait up
   * @throws AttuneError `queue_full`, `worker_unavailable` where the model cannot be loaded or takes too long, `invalid_request` where its
   * template refuses a conversation; the signal's reason
   */
  async read(answers: readonly JudgedAnswer[], left: AbortSignal): Promise<Predictions[]> {
    left.throwIfAborted();
    if (this.#isClosing) throw stopping();
    const { waiting, patienceMs = PATIENCE_MS } = this.#options;
    if (this.#queue.length > 0 && this.#queue.length + answers.length > waiting) {
      throw new AttuneError("queue_full", "Too many answers wait to be read. Try again in a few seconds.");
    }
    const entries = answers.map((answer) => {
      const { promise, resolve, reject } = Promise.withResolvers<Reading>();
      return { promise, entry: { answer, read: resolve, fail: reject } };
    });
    this.#queue.push(...entries.map(({ entry }) => entry));
    this.#next();
    try {
      const readings = await within(
        patienceMs,
        Promise.all(entries.map(({ promise }) => promise)),
        () => this.#late(),
        left,
      );
      return readings.map(predictionsOf);
    } finally {
      const own = new Set<Waiting>(entries.map(({ entry }) => entry));
      this.#queue = this.#queue.filter((entry) => !own.has(entry));
    }
  }

  /** Starts the thread, where there is none, before there is anything to read. */
  warmUp(): void {
    if (!this.#isClosing) this.#thread ??= this.#start();
  }

  /** Takes nothing new, and ends the thread. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#failAll(stopping());
    const thread = this.#thread;
    if (thread === null) return;
    // Also where it fails before it comes to that.
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    thread.once("exit", () => resolve());
    this.#post(thread, { type: "close" });
    const impatience = setTimeout(() => void thread.terminate(), CLOSE_MS);
    await ended;
    clearTimeout(impatience);
  }

  /** Has the thread read what waits, once it is there and has nothing else to do. */
  #next(): void {
    if (this.#queue.length === 0 || this.#batch.length > 0) return;
    this.#thread ??= this.#start();
    if (!this.#isReady) return;
    this.#batch = this.#queue.splice(0, READ_AT_ONCE);
    this.#post(this.#thread, { type: "read", answers: this.#batch.map(({ answer }) => answer) });
  }

  #post(thread: Worker, message: ToReader): void {
    thread.postMessage(message);
  }

  #start(): Worker {
    const thread = new Worker(new URL("./attribute-thread.ts", import.meta.url), {
      workerData: this.#options.setup,
      // For ONNX Runtime, which reads the environment of the process.
      env: SHARE_ENV,
    });
    let reason = "the thread stopped";
    thread.on("message", (message: FromReader) => {
      this.#isReady = true;
      if (message.type === "read") {
        for (const [index, { read, fail }] of this.#batch.entries()) {
          const reading = message.readings[index];
          if (reading === undefined) fail(lost());
          else read(reading);
        }
        this.#batch = [];
      }
      this.#next();
    });
    thread.on("error", (error: Error) => {
      reason = error.message;
    });
    thread.on("exit", () => {
      this.#thread = null;
      this.#isReady = false;
      if (!this.#isClosing) this.#options.onFailure(reason);
      this.#failAll(lost());
    });
    return thread;
  }

  #late(): AttuneError {
    const state = this.#isReady ? "busy" : "being loaded";
    return new AttuneError(
      "worker_unavailable",
      `The attribute prediction model is ${state}. Try again in a few seconds.`,
    );
  }

  #failAll(error: Error): void {
    const waiting = [...this.#batch, ...this.#queue];
    this.#batch = [];
    this.#queue = [];
    for (const { fail } of waiting) fail(error);
  }
}

function predictionsOf(reading: Reading): Predictions {
  if ("predictions" in reading) return reading.predictions;
  throw new AttuneError("invalid_request", reading.refused, { param: "messages" });
}

const stopping = () => new AttuneError("worker_unavailable", "This worker is shutting down. Try another.");

/** Why is in the log. */
const lost = () =>
  new AttuneError(
    "worker_unavailable",
    "The attribute prediction model could not be loaded, or failed, on this server. Try again, or ask its operator.",
  );
