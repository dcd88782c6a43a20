import { type Generation, MAX_KEPT_BYTES } from "../../../schema/api/generations.ts";
import { type AttuneError, type ErrorBody, toAttuneError } from "../../../schema/wire/errors.ts";
import type { GenerationEnding } from "../../usage/usage-record.ts";
import { DIALECTS } from "../dialects.ts";
import { KeptEvents, type KeptSize } from "./kept-events.ts";
import { type KeptRecord, toGeneration } from "./kept-record.ts";
import { bytesOf, keptStream } from "./kept-stream.ts";
import { CANCELLED, failureOf, TOO_LARGE } from "./stopped.ts";

const RECORD = "record";

/**
 * What readers get waits until the disk has it, so events that come fast are written some at a time; the first goes at once. Written one by
 * one, 400 tokens that the worker generates in 0.7 s took 7.
 */
const WRITE_EVERY_MS = 30;

const encoder = new TextEncoder();

/** An answer as its readers get it: events that go on until it has ended, or a body. */
export type KeptAnswer = { stream: boolean; status: KeptRecord["status"]; body: ReadableStream<Uint8Array> };

/** What is kept of one generation, its record and its answer's bytes, for those who write it and those who read it. */
export class KeptLog {
  readonly #storage: DurableObjectStorage;
  readonly #events: KeptEvents;
  #record: KeptRecord | null;
  /** Resolves when there is more to read, or an end. */
  #news = Promise.withResolvers<void>();
  #bytes = 0;
  #unwritten: Uint8Array[] = [];
  #writtenAt = 0;
  #writing: ReturnType<typeof setTimeout> | null = null;
  /** Why nothing more could be written. */
  #failure: unknown = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#events = new KeptEvents(storage);
    this.#record = storage.kv.get<KeptRecord>(RECORD) ?? null;
  }

  /** `null`: nothing is kept. */
  get record(): KeptRecord | null {
    return this.#record;
  }

  get size(): KeptSize {
    return this.#events.size();
  }

  /** Begins anew. */
  open(record: KeptRecord): void {
    this.#bytes = 0;
    this.#unwritten = [];
    this.#failure = null;
    this.#events.clear();
    this.#save(record);
  }

  update(changes: Partial<KeptRecord>): void {
    if (this.#record !== null) this.#save({ ...this.#record, ...changes });
  }

  /**
   * Keeps whole events, or a body.
   *
   * @throws AttuneError `generation_failed` where it is too much; what an earlier one could not be written for
   */
  append(bytes: Uint8Array): void {
    if (this.#failure !== null) throw this.#failure;
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_KEPT_BYTES) throw TOO_LARGE;
    this.#unwritten.push(bytes);
    const wait = WRITE_EVERY_MS - (Date.now() - this.#writtenAt);
    if (wait <= 0) this.#write();
    else this.#writing ??= setTimeout(() => this.#write(), wait);
  }

  #write(): void {
    clearTimeout(this.#writing);
    this.#writing = null;
    const unwritten = this.#unwritten.splice(0);
    if (this.#record === null || unwritten.length === 0) return;
    this.#writtenAt = Date.now();
    try {
      this.#events.append(unwritten, this.#record.request.stream);
    } catch (error) {
      console.error(JSON.stringify({ event: "not_kept", reason: String(error) }));
      this.#failure = error;
    }
    this.#tellReaders();
  }

  /** @param reason why it was ended here; `null` where the answer itself came to an end */
  finish(reason: AttuneError | null, ending: GenerationEnding, now: number): void {
    const record = this.#record;
    if (record === null) return;
    this.#write();
    const stopped = this.#failure === null ? reason : toAttuneError(this.#failure);
    if (stopped !== null) this.#appendEnd(record, stopped);
    const failure = stopped ?? (ending.error === null ? null : failureOf(ending.error));
    const state = stopped === null || stopped === CANCELLED ? ending.state : "failed";
    this.#save({
      ...record,
      ending: { ...ending, state, error: state === "failed" ? (failure?.code ?? null) : null, at: now },
      error: failure?.toBody().error ?? null,
      status: failure?.status ?? 200,
    });
    this.#tellReaders();
  }

  /** Where there is no room for it, it ended all the same. */
  #appendEnd({ request }: KeptRecord, stopped: AttuneError): void {
    if (!request.stream) return;
    try {
      const end = DIALECTS[request.dialect].brokenOff(stopped, this.#events.nextSequence());
      this.#events.append([encoder.encode(end)], true);
    } catch (error) {
      console.error(JSON.stringify({ event: "end_not_kept", generation: request.generation, reason: String(error) }));
    }
  }

  /** Forgets the answer, and keeps the record. */
  deleteAnswer(): void {
    this.#events.clear();
    this.update({ deleted: true });
    this.#tellReaders();
  }

  async forget(): Promise<void> {
    this.#record = null;
    this.#tellReaders();
    await this.#storage.deleteAll();
  }

  describe(record: KeptRecord): Generation {
    return toGeneration(record, this.#events.size());
  }

  /** The answer, from the event after this number on; `null` where it was deleted. Waits for one that is not streamed. */
  async answer(after: number): Promise<KeptAnswer | null> {
    const isStream = this.#record?.request.stream === true;
    while (!isStream && this.#runs()) await this.#news.promise;
    const record = this.#record;
    if (record === null || record.deleted) return null;
    const { status, error } = record;
    if (!isStream && error !== null) {
      const body = encoder.encode(JSON.stringify({ error } satisfies ErrorBody));
      return { stream: false, status, body: bytesOf(body) };
    }
    const from = after < 0 ? 0 : this.#events.positionAfter(after);
    const body = keptStream(this.#events, from, () => (this.#runs() ? this.#news.promise : null));
    return { stream: isStream, status: 200, body };
  }

  #runs(): boolean {
    return this.#record !== null && this.#record.ending === null;
  }

  #tellReaders(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  #save(record: KeptRecord): void {
    this.#record = record;
    this.#storage.kv.put(RECORD, record);
  }
}
