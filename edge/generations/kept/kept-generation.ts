import { DurableObject } from "cloudflare:workers";
import type { Generation as GenerationAnswer } from "../../../schema/api/generations.ts";
import { type AttuneError, toAttuneError } from "../../../schema/wire/errors.ts";
import { reserveAlone, tellLimiter } from "../../limits/admission.ts";
import type { ReserveAnswer } from "../../limits/ledger.ts";
import { type Admission, InferenceWorker } from "../../upstreams/inference-worker.ts";
import type { Refusal } from "../../upstreams/refusal.ts";
import { type GenerationEnding, tokensOf, recordOf as usageRecordOf } from "../../usage/usage-record.ts";
import { DIALECTS } from "../dialects.ts";
import { Generation } from "../generation.ts";
import { type KeptAnswer, KeptLog } from "./kept-log.ts";
import {
  type Asker,
  cameToNothing,
  isCallOf,
  isSame,
  type KeptRecord,
  keptUntil,
  mayRead,
  type Order,
  recordOf,
} from "./kept-record.ts";
import { CANCELLED, INTERRUPTED } from "./stopped.ts";

/** How often a running generation is looked after: where its object lost its memory, that is noticed by then. */
const WATCH_MS = 10_000;
/** When to tell the limits once more what they could not be told. */
const TELL_AGAIN_MS = 5_000;

type Meters = ReserveAnswer["meters"];

/** What became of an attempt to begin. Only with `begun` is anything kept. */
type Beginning =
  | { kind: "begun"; meters: Meters }
  | { kind: "limited"; answer: ReserveAnswer & { allowed: false } }
  | { kind: "refused"; refusal: Refusal; meters: Meters }
  | { kind: "failed"; error: Pick<AttuneError, "code" | "message">; meters: Meters };

export type Started =
  | Exclude<Beginning, { kind: "begun" }>
  /** The object has another request. */
  | { kind: "mismatch" }
  /** The object had this request's answer, and was told to delete it. */
  | { kind: "deleted"; generation: string }
  /** `replayed`: an earlier call began it. */
  | { kind: "begun"; replayed: boolean; meters: Meters; generation: string; answer: KeptAnswer };

/**
 * One generation whose answer is kept. The object itself asks the worker, so it goes on whoever reads, and keeps what comes before anybody
 * gets to read it. All readers read what is kept, so they read the same. It ends in an error, and is settled, also where the object has lost
 * its memory on the way.
 */
export class KeptGeneration extends DurableObject<Cloudflare.Env> {
  readonly #log: KeptLog;
  /** `null` where nothing runs here; `stopped` is why it was ended before it came to its own end. */
  #running: { abort: AbortController; stopped: AttuneError | null } | null = null;
  #beginning: Promise<Beginning> | null = null;
  /** Settles once the limits know how it ended, or could not be told for now. */
  #settling: Promise<void> = Promise.resolve();

  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env);
    this.#log = new KeptLog(state.storage);
    const { record } = this.#log;
    if (record === null || record.settled) return;
    this.#settling = this.#recover(record);
    state.waitUntil(this.#settling);
  }

  /** Begins the generation, unless an earlier call did: then its answer is the same. */
  async start(order: Order): Promise<Started> {
    const known = this.#log.record;
    if (known !== null && !isSame(known, order)) return { kind: "mismatch" };
    const replayed = known !== null && !(known.settled && cameToNothing(known) && !isCallOf(known, order));
    if (!replayed) {
      this.#beginning = this.#begin(order);
      // Whoever asked may go away; the answer is kept all the same.
      this.ctx.waitUntil(this.#beginning.catch(() => null));
    }
    const beginning = await this.#beginning;
    if (beginning !== null && beginning.kind !== "begun") return beginning;
    const answer = await this.#log.answer(-1);
    const { generation } = this.#log.record?.request ?? order.request;
    if (answer === null) return { kind: "deleted", generation };
    return { kind: "begun", replayed, meters: beginning?.meters ?? [], generation, answer };
  }

  /** How the generation stands; `null` where there is none that the asker may know of, as everywhere here. */
  async find(id: string, asker: Asker): Promise<GenerationAnswer | null> {
    const record = this.#recordFor(id, asker);
    return record === null ? null : this.#log.describe(record);
  }

  /**
   * The answer, a stream from the event after this number on; waits for one that is not streamed.
   *
   * @returns `deleted` where its owner had it deleted
   */
  async read(id: string, asker: Asker, after: number): Promise<KeptAnswer | "deleted" | null> {
    const record = this.#recordFor(id, asker);
    if (record === null) return null;
    // How an answer without streaming failed is known only then.
    if (!record.request.stream) await this.#beginning?.catch(() => null);
    return (await this.#log.answer(after)) ?? "deleted";
  }

  /** Ends the generation where it runs; tells how it ended. */
  async cancel(id: string, asker: Asker): Promise<GenerationAnswer | null> {
    if (this.#recordFor(id, asker) === null) return null;
    this.#stop(CANCELLED);
    await this.#beginning?.catch(() => null);
    await this.#settling;
    return this.find(id, asker);
  }

  /** Ends the generation where it runs, and forgets its answer; how it went stays known as long as it would have. */
  async delete(id: string, asker: Asker): Promise<GenerationAnswer | null> {
    if ((await this.cancel(id, asker)) === null) return null;
    this.#log.deleteAnswer();
    return this.find(id, asker);
  }

  override async alarm(): Promise<void> {
    const { record } = this.#log;
    if (record === null) return;
    const until = keptUntil(record);
    if (until === null) await this.ctx.storage.setAlarm(Date.now() + WATCH_MS);
    else if (!record.settled) await this.#settle();
    else if (Date.now() < until) await this.ctx.storage.setAlarm(until);
    else await this.#log.forget();
  }

  async #begin(order: Order): Promise<Beginning> {
    const { request, requestId, region, traceHeaders } = order;
    const worker = new InferenceWorker(this.env, requestId, region, traceHeaders);
    const generation = new Generation(request, worker, (ending) => this.#end(ending));
    const running = { abort: new AbortController(), stopped: null };
    this.#running = running;
    const record = recordOf(order, crypto.randomUUID());
    this.#log.open(record);
    await this.ctx.storage.setAlarm(Date.now() + WATCH_MS);
    const answer = await this.#reserve(record, order);
    if (!answer.allowed) return this.#forgetAs({ kind: "limited", answer });
    const { meters } = answer;
    this.#settling = generation.finished;
    let admission: Admission | null;
    try {
      admission = await generation.start(running.abort.signal);
    } catch (thrown) {
      const { code, message, cause } = toAttuneError(thrown);
      console.error(JSON.stringify({ event: code, request_id: requestId, reason: String(cause ?? message) }));
      await generation.finished;
      return this.#forgetAs({ kind: "failed", error: { code, message }, meters });
    }
    if (admission?.admitted) {
      this.#log.update({ worker: admission.worker, promptTokens: generation.promptTokens });
      const receiving = this.#receive(generation, admission.response, request.dialect);
      this.ctx.waitUntil(receiving);
      if (!request.stream) await receiving;
      return { kind: "begun", meters };
    }
    await generation.finished;
    const ended = this.#log.record;
    if (admission !== null) {
      const { refusal } = admission;
      if (ended === null || cameToNothing(ended)) return this.#forgetAs({ kind: "refused", refusal, meters });
      this.#log.update({ error: refusal.body.error, status: refusal.status });
    }
    return { kind: "begun", meters };
  }

  async #reserve({ asker, reservation }: KeptRecord, { subjects, tokens }: Order): Promise<ReserveAnswer> {
    try {
      return await reserveAlone(this.env, asker.projectId, { id: reservation, subjects, tokens });
    } catch (error) {
      this.#running = null;
      await this.#log.forget();
      throw error;
    }
  }

  async #receive(generation: Generation, response: Response, dialect: KeptRecord["request"]["dialect"]): Promise<void> {
    try {
      await generation.receive(response, DIALECTS[dialect], (bytes) => this.#log.append(bytes));
    } catch (error) {
      console.error(JSON.stringify({ event: "keeping_failed", reason: String(error) }));
      this.#stop(toAttuneError(error));
    }
    await generation.finished;
  }

  #stop(reason: AttuneError): void {
    if (this.#running === null) return;
    this.#running.stopped ??= reason;
    this.#running.abort.abort();
  }

  async #end(ending: GenerationEnding): Promise<void> {
    const stopped = ending.state === "cancelled" ? (this.#running?.stopped ?? CANCELLED) : null;
    this.#running = null;
    this.#log.finish(stopped, ending, Date.now());
    await this.#settle();
  }

  /** The object was gone while the generation ran: the worker was hung up on, and knows how far it came. */
  async #recover({ request, requestId, traceHeaders, worker, promptTokens, ending }: KeptRecord): Promise<void> {
    if (ending === null) {
      const upstream = new InferenceWorker(this.env, requestId, null, traceHeaders);
      const report = await upstream.cancel(request.generation, worker ?? undefined);
      const interrupted: GenerationEnding = {
        state: "failed",
        error: INTERRUPTED.code,
        promptTokens: report?.usage.prompt_tokens ?? promptTokens,
        completionTokens: report?.usage.completion_tokens ?? this.#log.size.completionTokens,
        firstByteAt: null,
      };
      this.#log.finish(INTERRUPTED, interrupted, Date.now());
    }
    await this.#settle();
  }

  /** Tells the limits, and the ledger, how it ended; as often as it takes. */
  async #settle(): Promise<void> {
    const { record } = this.#log;
    if (record === null || record.ending === null || record.settled) return;
    const { request, asker, requestId, startedAt, reservation, ending } = record;
    const settlement = { id: reservation, requests: 1, tokens: tokensOf(ending), ended: true };
    const usage = usageRecordOf({ principal: asker, request, requestId, startedAt, endedAt: ending.at }, ending);
    try {
      await tellLimiter(this.env, asker.projectId, [settlement], [usage]);
      this.#log.update({ settled: true });
      await this.ctx.storage.setAlarm(keptUntil(record) ?? Date.now());
    } catch (error) {
      console.error(JSON.stringify({ event: "settle_failed", generation: request.generation, reason: String(error) }));
      await this.ctx.storage.setAlarm(Date.now() + TELL_AGAIN_MS);
    }
  }

  #recordFor(id: string, asker: Asker): KeptRecord | null {
    const { record } = this.#log;
    return record !== null && record.request.generation === id && mayRead(record, asker) ? record : null;
  }

  async #forgetAs<T extends Beginning>(beginning: T): Promise<T> {
    this.#running = null;
    await this.#log.forget();
    return beginning;
  }
}
