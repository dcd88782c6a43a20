import type { ServedModel } from "../../schema/api/models.ts";
import { type Breaker, CLOSED, lets, onAbandoned, onFailure, onSent, onSuccess } from "./breaker.ts";
import type { Candidate } from "./choice.ts";
import type { Outcome } from "./outcome.ts";
import type { WorkerEntry } from "./worker-list.ts";

/** How old the list of a worker's models may be. */
const MODELS_MS = 30_000;
/** How often a worker is asked whether it is ready, while it is used. */
const ASK_READINESS_MS = 2_000;
/** After so long its last word on it says nothing any more. */
const READINESS_MS = 5_000;
/** How long a worker that had no room is passed over. */
const FULL_MS = 1_000;
/** How long after a failure a list of models is not asked for again. */
const MODELS_RETRY_MS = 2_000;
/** No generation runs for longer; what was not ended by then never will be. */
const OUTSTANDING_MS = 900_000;

/** Whether so little time has passed since; a clock that was set back by more makes it long ago. */
const isWithin = (milliseconds: number, since: number, now: number) => Math.abs(now - since) < milliseconds;

/**
 * What this isolate knows of one worker. Other isolates know what they met themselves; what they have running there shows in the load that the
 * worker reports. Plain facts, no promises: requests of one isolate may share no I/O. Times are Unix milliseconds.
 */
export class WorkerState {
  readonly entry: WorkerEntry;
  /** Whether there is no other. It is asked then even if it might not be ready: it knows best. */
  readonly #alone: boolean;
  #breaker: Breaker = CLOSED;
  #readiness: { ready: boolean; at: number } | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #fullAt = Number.NEGATIVE_INFINITY;
  #report: { tokens: number; own: number; at: number } | null = null;
  #models: { served: ServedModel[]; at: number } | null = null;
  #modelsFailedAt = Number.NEGATIVE_INFINITY;
  /** By generation, oldest first. */
  readonly #outstanding = new Map<string, { tokens: number; since: number }>();
  #own = 0;

  constructor(entry: WorkerEntry, alone: boolean) {
    this.entry = entry;
    this.#alone = alone;
  }

  candidate(model: string, now: number): Candidate & { state: WorkerState } {
    const { origin, weight, region } = this.entry;
    const out = !lets(this.#breaker, now) || !this.#seemsReady(now) || !this.#mayHave(model);
    const standing = out ? "out" : isWithin(FULL_MS, this.#fullAt, now) ? "full" : "free";
    return { state: this, origin, weight, region, standing, load: this.load(now) };
  }

  #seemsReady(now: number): boolean {
    return this.#readiness === null || this.#readiness.ready || !isWithin(READINESS_MS, this.#readiness.at, now);
  }

  #mayHave(model: string): boolean {
    if (this.entry.models?.includes(model) === false) return false;
    return this.#models === null || this.#models.served.some(({ id }) => id === model);
  }

  /** Tokens that it may yet have to compute: by its own report, kept up with what was sent and ended since; at least what this isolate has there. */
  load(now: number): number {
    const report = this.#report;
    if (report === null || !isWithin(READINESS_MS, report.at, now)) return this.#own;
    return Math.max(this.#own, report.tokens + this.#own - report.own);
  }

  /** A request is sent. How the worker takes it is to be noted. */
  sent(now: number): void {
    this.#breaker = onSent(this.#breaker, now);
  }

  /** A generation of up to so many tokens is sent. */
  begin(generation: string, tokens: number, now: number): void {
    for (const [oldest, { since }] of this.#outstanding) {
      if (now - since < OUTSTANDING_MS) break;
      this.end(oldest);
    }
    this.#outstanding.set(generation, { tokens, since: now });
    this.#own += tokens;
  }

  /** It is over, or was never begun. */
  end(generation: string): void {
    this.#own -= this.#outstanding.get(generation)?.tokens ?? 0;
    this.#outstanding.delete(generation);
  }

  /** How the worker took a request. */
  note(outcome: Outcome, now: number): void {
    if (outcome.kind === "abandoned") this.#breaker = onAbandoned(this.#breaker, now);
    else if (outcome.kind === "failed") this.#breaker = onFailure(this.#breaker, now);
    else this.#breaker = onSuccess();
    if (outcome.kind !== "refused" || !outcome.elsewhere) return;
    const { status } = outcome.refusal;
    if (status === 429) this.#fullAt = now;
    // It was loaded with other models than before.
    if (status === 404) this.#models = null;
    if (status === 503) {
      this.noteReadiness(false, null, now);
      this.#askedAt = Number.NEGATIVE_INFINITY;
    }
  }

  /** Whether it is time to ask whether it is ready. Counts as asked from then on. */
  askReadiness(now: number): boolean {
    if (this.#alone || isWithin(ASK_READINESS_MS, this.#askedAt, now)) return false;
    this.#askedAt = now;
    return true;
  }

  /** @param tokens its load; `null` where it did not say */
  noteReadiness(ready: boolean, tokens: number | null, now: number): void {
    if (this.#alone) return;
    this.#readiness = { ready, at: now };
    if (tokens !== null) this.#report = { tokens, own: this.#own, at: now };
  }

  /** Whether its models have to be asked for. */
  askModels(now: number): boolean {
    if (this.#models !== null && isWithin(MODELS_MS, this.#models.at, now)) return false;
    return this.#alone || !isWithin(MODELS_RETRY_MS, this.#modelsFailedAt, now);
  }

  /** @param served `null` where it could not say */
  noteModels(served: ServedModel[] | null, now: number): void {
    if (served === null) this.#modelsFailedAt = now;
    else this.#models = { served, at: now };
  }

  /**
   * The models that it was last known to serve, of those that it is asked for; `null` where nothing is known. Where there are other workers, those of
   * one that is away for now do not cease to exist.
   */
  models(now: number): ServedModel[] | null {
    if (this.#models === null || (this.#alone && !isWithin(MODELS_MS, this.#models.at, now))) return null;
    return this.#models.served.filter(({ id }) => this.entry.models?.includes(id) ?? true);
  }
}
