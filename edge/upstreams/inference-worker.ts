import { waitUntil } from "cloudflare:workers";
import type { ServedModel } from "../../schema/api/models.ts";
import { GENERATIONS_PATH, type GenerateRequest, type GenerationReport } from "../../schema/wire/generate.ts";
import { SCORE_PATH, type ScoreAnswer, type ScoreRequest, scoreAnswerSchema } from "../../schema/wire/score.ts";
import { mostTokens } from "../limits/estimate.ts";
import { affinityOf } from "./affinity.ts";
import { chooseWorker } from "./choice.ts";
import { firstAdmission } from "./first-admission.ts";
import type { Outcome } from "./outcome.ts";
import { type Pool, poolOf } from "./pool.ts";
import { type Refusal, unavailable } from "./refusal.ts";
import type { Caller, Question } from "./signed-fetch.ts";
import { WorkerCalls } from "./worker-calls.ts";
import type { Region } from "./worker-list.ts";
import type { WorkerState } from "./worker-state.ts";

/** How long the models of the others are waited for once those of one worker are known. */
const MODELS_GRACE_MS = 300;

/** Longer than the worker lets answers wait to be read. */
const SCORE_TIMEOUT_MS = 310_000;

/** Workers that one request is sent to at most. */
const MOST_WORKERS = 3;

/** A request of which so many milliseconds are over. */
function sinceThen(request: GenerateRequest, milliseconds: number): GenerateRequest {
  if (request.deadline_ms === undefined) return request;
  return { ...request, deadline_ms: Math.max(1, request.deadline_ms - milliseconds) };
}

/** How the workers took a generate request. */
export type Admission =
  /** `worker`: the origin of the one that runs it. */
  | { admitted: true; response: Response; worker: string }
  /** `headers` count what was used where it failed half-way. */
  | { admitted: false; refusal: Refusal; headers: Headers };

/** The inference worker, as the edge sees it: whichever of the configured ones suits a request. Every request to it is signed. */
export class InferenceWorker {
  readonly #pool: Pool;
  readonly #calls: WorkerCalls;
  readonly #region: Region | null;
  /** Who was sent each generation, and may still have it. */
  readonly #sentTo = new Map<string, Set<WorkerState>>();

  /**
   * @param region where the request comes from
   * @param traceHeaders the trace that its work belongs to, as W3C headers
   * @throws AttuneError `internal_error` where the configuration is wrong
   */
  constructor(
    env: Pick<Cloudflare.Env, "WORKERS" | "WORKER_URL" | "WORKER_SECRET">,
    requestId: string,
    region: Region | null = null,
    traceHeaders: Caller["traceHeaders"] = {},
  ) {
    this.#pool = poolOf(env);
    this.#calls = new WorkerCalls({ secret: env.WORKER_SECRET, requestId, traceHeaders });
    this.#region = region;
  }

  /**
   * The models that are served by any worker, each as the first of them describes it, at most 30 s old. Those of a worker that does not answer
   * stay as they were last known, where there are others.
   *
   * @throws AttuneError `worker_unavailable`
   */
  async models(): Promise<ServedModel[]> {
    const asked = this.#pool.workers.filter((worker) => worker.askModels(Date.now()));
    if (asked.length > 0) {
      const answers = Promise.allSettled(asked.map((worker) => this.#calls.models(worker)));
      waitUntil(answers);
      const grace = Promise.withResolvers<void>();
      const timer = setTimeout(grace.resolve, MODELS_GRACE_MS);
      await Promise.race([answers, grace.promise]);
      clearTimeout(timer);
      if (this.#knownModels() === null) await answers;
    }
    const known = this.#knownModels();
    if (known === null) throw unavailable("no worker said which models it serves");
    return known;
  }

  #knownModels(): ServedModel[] | null {
    const lists = this.#pool.workers.flatMap((worker) => {
      const models = worker.models(Date.now());
      return models === null ? [] : [models];
    });
    const all = lists.flat();
    const merged = all.filter(({ id }, index) => all.findIndex((other) => other.id === id) === index);
    return lists.length === 0 ? null : merged;
  }

  /**
   * Starts a generation at one of the workers that have its model. Aborting `signal` closes the connection, which a worker takes as a cancel.
   * Once it is over, {@link release} says so.
   *
   * @throws AttuneError `worker_unavailable`
   */
  async generate(request: GenerateRequest, signal: AbortSignal): Promise<Admission> {
    if (request.stream) this.#pool.earnHedge();
    let started: number | null = null;
    // One alone is asked in any case.
    const choosing = this.#pool.workers.length > 1;
    const tokens = choosing ? mostTokens(request) : 0;
    const next = this.#chooser(request.model, choosing ? affinityOf(request) : null);
    const settled = await firstAdmission<WorkerState>({
      next,
      signal,
      mayHedge: request.stream && choosing ? () => this.#pool.spendHedge() : null,
      ask: async (worker, left) => {
        const now = Date.now();
        started ??= now;
        const outcome = await this.#askToGenerate(worker, sinceThen(request, now - started), tokens, left);
        // Who loses against another worker is told so; where the caller left, whoever called this cancels.
        if (outcome.kind === "abandoned" && !signal.aborted) waitUntil(this.#calls.cancel(worker, request.generation));
        return outcome;
      },
    });
    if (settled === null) throw unavailable("every worker is out");
    const { worker, outcome } = settled;
    switch (outcome.kind) {
      case "admitted":
        this.#sentTo.set(request.generation, new Set([worker]));
        return { admitted: true, response: outcome.response, worker: worker.entry.origin };
      case "refused":
        return { admitted: false, refusal: outcome.refusal, headers: outcome.headers };
      case "failed":
        throw unavailable(outcome.cause);
      case "abandoned":
        throw unavailable("nobody waited for the answer");
    }
  }

  async #askToGenerate(
    worker: WorkerState,
    request: GenerateRequest,
    tokens: number,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { generation } = request;
    const question: Question = { method: "POST", path: GENERATIONS_PATH, body: JSON.stringify(request) };
    const sentTo = this.#sentTo.get(generation) ?? new Set();
    this.#sentTo.set(generation, sentTo.add(worker));
    worker.begin(generation, tokens, Date.now());
    const outcome = await this.#calls.work(worker, question, signal, request.stream);
    if (outcome.kind !== "admitted") {
      worker.end(generation);
      if (outcome.kind !== "abandoned") sentTo.delete(worker);
    }
    return outcome;
  }

  /** A generation is over: its worker has it to do no more. */
  release(generation: string): void {
    for (const worker of this.#sentTo.get(generation) ?? []) worker.end(generation);
    this.#sentTo.delete(generation);
  }

  /**
   * Has finished answers measured. Aborting `signal` gives it up.
   *
   * @throws AttuneError `worker_unavailable`
   */
  async score(request: ScoreRequest, signal: AbortSignal): Promise<ScoreAnswer | Refusal> {
    const question: Question = { method: "POST", path: SCORE_PATH, body: JSON.stringify(request) };
    const settled = await firstAdmission<WorkerState>({
      next: this.#chooser(request.model, null),
      signal: AbortSignal.any([signal, AbortSignal.timeout(SCORE_TIMEOUT_MS)]),
      mayHedge: null,
      // What is read twice costs time and changes nothing.
      ask: (worker, left) => this.#calls.work(worker, question, left, true),
    });
    if (settled === null) throw unavailable("every worker is out");
    const { outcome } = settled;
    if (outcome.kind === "refused") return outcome.refusal;
    if (outcome.kind !== "admitted") throw unavailable(outcome.kind === "failed" ? outcome.cause : outcome.kind);
    const answer = scoreAnswerSchema.safeParse(await outcome.response.json().catch(() => null));
    if (!answer.success) throw unavailable(`POST ${SCORE_PATH} answered ${outcome.response.status}`);
    return answer.data;
  }

  /**
   * Ends a generation and tells what it used; `null` where no worker can say.
   *
   * @param at the origin of the worker that runs it, as its admission said. Without it those are asked that this object sent it to, else all
   */
  async cancel(generation: string, at?: string): Promise<GenerationReport | null> {
    const named = this.#pool.workers.filter(({ entry }) => entry.origin === at);
    const sentTo = [...(this.#sentTo.get(generation) ?? [])];
    const asked = [named, sentTo, this.#pool.workers].find((workers) => workers.length > 0) ?? [];
    const reports = await Promise.all(asked.map((worker) => this.#calls.cancel(worker, generation)));
    // Of two that it was sent to, one was told to stop before it had done much.
    return reports.reduce((most, report) => {
      return (report?.usage.total_tokens ?? -1) > (most?.usage.total_tokens ?? -1) ? report : most;
    }, null);
  }

  /** Chooses one worker after the other, none twice. */
  #chooser(model: string, affinity: number | null): (last: Outcome | null) => WorkerState | null {
    const tried = new Set<WorkerState>();
    return (last) => {
      if (tried.size === MOST_WORKERS) return null;
      const now = Date.now();
      for (const worker of this.#pool.workers) if (worker.askReadiness(now)) waitUntil(this.#calls.readiness(worker));
      const others = this.#pool.workers.filter((worker) => !tried.has(worker));
      const candidates = others.map((worker) => worker.candidate(model, now));
      const chosen = chooseWorker(candidates, { affinity, region: this.#region }, Math.random());
      // Where one had no room, those that had none a moment ago are not bothered.
      if (chosen === null || (last !== null && chosen.standing === "full")) return null;
      tried.add(chosen.state);
      return chosen.state;
    };
  }
}
