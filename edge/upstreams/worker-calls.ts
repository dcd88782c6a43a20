import { type ServedModel, servedModelsSchema } from "../../schema/api/models.ts";
import {
  cancelPath,
  type GenerationReport,
  generationReportSchema,
  WORKER_MODELS_PATH,
} from "../../schema/wire/generate.ts";
import { READINESS_PATH, readinessSchema } from "../../schema/wire/readiness.ts";
import { type Outcome, readOutcome } from "./outcome.ts";
import { type Caller, type Question, signedFetch } from "./signed-fetch.ts";
import type { WorkerState } from "./worker-state.ts";

/** Short questions: which models, cancel this, ready or not. */
const QUICK_TIMEOUT_MS = 5_000;
const READINESS_TIMEOUT_MS = 2_000;

/** A connection that fails so soon was refused, or broke off before much was computed. */
const REFUSED_WITHIN_MS = 1_000;

/** The questions that a worker is asked. How it answers them is noted; none of them throws. */
export class WorkerCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Notes which models it serves. */
  async models(worker: WorkerState): Promise<void> {
    let served: ServedModel[] | null = null;
    try {
      const question: Question = { method: "GET", path: WORKER_MODELS_PATH };
      const response = await this.#send(worker, question, AbortSignal.timeout(QUICK_TIMEOUT_MS));
      const parsed = servedModelsSchema.safeParse(await response.json());
      if (!parsed.success) throw new Error(`GET ${WORKER_MODELS_PATH} answered ${response.status}`);
      served = parsed.data.data;
    } catch (error) {
      this.#log("models_unknown", worker, error);
    }
    worker.noteModels(served, Date.now());
  }

  /** Notes whether it is ready, and how much it has to do. */
  async readiness(worker: WorkerState): Promise<void> {
    let ready = false;
    let tokens: number | null = null;
    try {
      const signal = AbortSignal.timeout(READINESS_TIMEOUT_MS);
      const response = await fetch(new URL(READINESS_PATH, worker.entry.origin), { signal, redirect: "manual" });
      const parsed = readinessSchema.safeParse(await response.json());
      ready = response.ok;
      tokens = parsed.success ? parsed.data.load.tokens : null;
    } catch (error) {
      this.#log("not_ready", worker, error);
    }
    worker.noteReadiness(ready, tokens, Date.now());
  }

  /**
   * Has it do something, and notes how it took that.
   *
   * @param safe whether another worker may be asked the same even if this one had begun to work on it
   */
  async work(worker: WorkerState, question: Question, signal: AbortSignal, safe: boolean): Promise<Outcome> {
    const asked = Date.now();
    worker.sent(asked);
    let outcome: Outcome;
    try {
      outcome = await readOutcome(await this.#send(worker, question, signal), `POST ${question.path}`);
      if (signal.aborted && outcome.kind === "admitted") {
        await outcome.response.body?.cancel();
        outcome = { kind: "abandoned" };
      }
    } catch (cause) {
      const elsewhere = safe || Date.now() - asked < REFUSED_WITHIN_MS;
      outcome = signal.aborted ? { kind: "abandoned" } : { kind: "failed", cause, elsewhere };
    }
    worker.note(outcome, Date.now());
    if (outcome.kind === "failed") this.#log("worker_failed", worker, outcome.cause);
    return outcome;
  }

  /** Ends a generation and tells what it used; `null` where the worker can not say. */
  async cancel(worker: WorkerState, generation: string): Promise<GenerationReport | null> {
    try {
      const question: Question = { method: "POST", path: cancelPath(generation) };
      const response = await this.#send(worker, question, AbortSignal.timeout(QUICK_TIMEOUT_MS));
      const report = generationReportSchema.safeParse(await response.json());
      return report.success ? report.data : null;
    } catch (error) {
      this.#log("cancel_failed", worker, error);
      return null;
    }
  }

  #send(worker: WorkerState, question: Question, signal: AbortSignal): Promise<Response> {
    return signedFetch(worker.entry.origin, this.#caller, question, signal);
  }

  #log(event: string, worker: WorkerState, reason: unknown): void {
    const { origin } = worker.entry;
    console.error(
      JSON.stringify({ event, request_id: this.#caller.requestId, worker: origin, reason: String(reason) }),
    );
  }
}
