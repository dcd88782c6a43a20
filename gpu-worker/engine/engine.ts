import { kvRows } from "../graph/decoder.ts";
import type { DecoderOutput, DecoderSession } from "../runtime/decoder-session.ts";
import { type BatchRow, decoderBatch } from "./batch.ts";
import type { TokenBytes } from "./detokeniser.ts";
import { KvPool, kvPoolBytes } from "./kv-pool.ts";
import { type AdmissionLimits, fits, type PolicyLimits, planStep } from "./policy.ts";
import { agreement, BLOCK_TOKENS, PrefixCache } from "./prefix-cache.ts";
import { type Advance, Sequence, type SequenceRequest } from "./sequence.ts";

/** What computes a forward pass. */
type Decoder = Pick<DecoderSession, "config" | "run">;

export type EngineOptions = PolicyLimits &
  AdmissionLimits & {
    /** Bytes that keys and values of earlier prompts and answers may take. */
    prefixBytes: number;
  };

/** What the engine needs to know of the vocabulary. */
export type Vocabulary = { tokens: TokenBytes; eosIds: ReadonlySet<number> };

export type EngineEvent =
  | ({ kind: "advanced"; id: string } & Advance)
  /** `cachedTokens` of the prompt were known from earlier requests. */
  | { kind: "started"; id: string; cachedTokens: number }
  | { kind: "cancelled"; id: string; completionTokens: number }
  | { kind: "failed"; id: string; completionTokens: number; reason: string };

/** What one step did, for metrics. */
export type StepReport = {
  decodeRows: number;
  prefillTokens: number;
  seconds: number;
  kvBytes: number;
  prefixBytes: number;
  events: EngineEvent[];
};

/**
 * Continuous batching over one decoder. Sequences join and leave between steps; those that decode share one forward pass.
 *
 * `#running[slot]` is the sequence in that slot of the KV pool. Sequences with one pending token come first, because a batch must
 * be neighbours in the pool.
 */
export class Engine {
  readonly #decoder: Decoder;
  readonly #options: EngineOptions;
  readonly #vocabulary: Vocabulary;
  readonly #pool: KvPool;
  readonly #prefixes: PrefixCache;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  #events: EngineEvent[] = [];
  #arrivals = 0;

  constructor(decoder: Decoder, vocabulary: Vocabulary, options: EngineOptions) {
    this.#decoder = decoder;
    this.#vocabulary = vocabulary;
    this.#options = options;
    this.#pool = new KvPool(decoder.config);
    this.#prefixes = new PrefixCache(kvRows(decoder.config) * decoder.config.headDim, options.prefixBytes);
  }

  get busy(): boolean {
    return this.#waiting.length + this.#running.length > 0;
  }

  submit(request: SequenceRequest): void {
    this.#waiting.push(new Sequence(request, this.#arrivals++, this.#vocabulary.tokens));
  }

  /** Takes a sequence out, wherever it is. One that has ended already is left alone. */
  cancel(id: string): EngineEvent | null {
    const sequence = [...this.#waiting, ...this.#running].find((candidate) => candidate.id === id);
    if (sequence === undefined) return null;
    this.#remove(sequence);
    return { kind: "cancelled", id, completionTokens: sequence.completionTokens };
  }

  /** Admits who fits, computes one step for everybody planned, and reports what came of it. */
  async step(): Promise<StepReport> {
    const began = performance.now();
    this.#admit();
    this.#begin();
    this.#decodersFirst();
    const plan = planStep(this.#running, this.#options);
    const decoding = plan.decode.map((index) => this.#sequence(index));
    const prefilling = plan.prefill.map(({ index, tokens }) => ({ sequence: this.#sequence(index), tokens }));
    this.#reserve([...decoding.map((sequence) => ({ sequence, tokens: 1 })), ...prefilling]);

    const ended = new Set<Sequence>();
    if (decoding.length > 0) await this.#forward(decoding, 1, ended);
    for (const { sequence, tokens } of prefilling) await this.#forward([sequence], tokens, ended);
    for (const sequence of ended) this.#remove(sequence);
    return {
      decodeRows: decoding.length,
      prefillTokens: prefilling.reduce((total, { tokens }) => total + tokens, 0),
      seconds: (performance.now() - began) / 1000,
      kvBytes: this.#pool.bytes,
      prefixBytes: this.#prefixes.bytes,
      events: this.#takeEvents(),
    };
  }

  /** Tokens in each slot of the pool. */
  #used(): number[] {
    return this.#running.map((sequence) => sequence.computed);
  }

  #sequence(slot: number): Sequence {
    const sequence = this.#running[slot];
    if (sequence === undefined) throw new Error(`Slot ${slot} is empty`);
    return sequence;
  }

  #takeEvents(): EngineEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** First come, first served: the first that does not fit holds back the others, or a long one would wait for ever. */
  #admit(): void {
    const bytes = kvPoolBytes(this.#decoder.config);
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const lengths = [...this.#running, next].map((sequence) => sequence.finalLength);
      if (!fits(lengths, this.#options, bytes)) return;
      this.#waiting.shift();
      this.#running.push(next);
      this.#pool.fit(this.#running.length, this.#pool.stride, this.#used());
    }
  }

  /**
   * Lets admitted sequences begin: each with what is known of its prompt in its slot, or not yet, while an earlier one is computing
   * more of the same beginning. So of many requests about one conversation, it is read once.
   */
  #begin(): void {
    for (const [slot, sequence] of this.#running.entries()) {
      if (sequence.cached !== null) continue;
      // The last token is computed in any case, for its logits.
      const reusable = sequence.prompt.slice(0, -1);
      const pieces = this.#prefixes.match(reusable);
      const known = pieces.reduce((total, { count }) => total + count, 0);
      sequence.held =
        this.#options.prefixBytes > 0 &&
        this.#running.some((other) => other.prefilling && agreement(other.prompt, reusable) >= known + BLOCK_TOKENS);
      if (sequence.held) continue;
      this.#pool.fit(this.#running.length, Math.max(known, this.#pool.stride), this.#used());
      for (const { kv, count } of pieces) {
        this.#pool.write(slot, sequence.computed, count, kv, BLOCK_TOKENS);
        sequence.computed += count;
      }
      sequence.cached = known;
      this.#events.push({ kind: "started", id: sequence.id, cachedTokens: known });
    }
  }

  /** Keeps a sequence's keys and values for requests that begin like it. */
  #remember(sequence: Sequence): void {
    const slot = this.#running.indexOf(sequence);
    this.#prefixes.insert(sequence.computedTokens, (offset, count, kv) =>
      this.#pool.read(slot, offset, count, kv, BLOCK_TOKENS),
    );
  }

  #decodersFirst(): void {
    let front = 0;
    for (const [slot, sequence] of this.#running.entries()) {
      if (sequence.pending > 1) continue;
      this.#swap(front++, slot);
    }
  }

  #swap(a: number, b: number): void {
    if (a === b) return;
    const first = this.#sequence(a);
    const second = this.#sequence(b);
    this.#pool.swap(a, b, first.computed, second.computed);
    this.#running[a] = second;
    this.#running[b] = first;
  }

  #reserve(work: { sequence: Sequence; tokens: number }[]): void {
    const used = this.#used();
    const lengths = work.map(({ sequence, tokens }) => sequence.computed + tokens);
    if (used.length > 0) this.#pool.fit(used.length, Math.max(...used, ...lengths), used);
  }

  /** One forward pass over sequences in neighbouring slots; those whose last token it computed draw their next one. */
  async #forward(sequences: Sequence[], count: number, ended: Set<Sequence>): Promise<void> {
    const [first] = sequences;
    if (first === undefined) return;
    const firstSlot = this.#running.indexOf(first);
    const rows: BatchRow[] = sequences.map((sequence) => ({
      tokens: sequence.next(count),
      computed: sequence.computed,
    }));
    let output: DecoderOutput;
    try {
      output = await this.#decoder.run(decoderBatch(this.#decoder.config, this.#pool, firstSlot, rows));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      for (const sequence of sequences) {
        ended.add(sequence);
        this.#events.push({ kind: "failed", id: sequence.id, completionTokens: sequence.completionTokens, reason });
      }
      return;
    }
    const { vocab, headDim } = this.#decoder.config;
    const rowSize = kvRows(this.#decoder.config) * count * headDim;
    for (const [row, sequence] of sequences.entries()) {
      this.#pool.write(firstSlot + row, sequence.computed, count, output.newKv.subarray(row * rowSize), count);
      sequence.computed += count;
      if (sequence.pending > 0) continue;
      if (sequence.completionTokens === 0) this.#remember(sequence);
      const logits = output.logits.subarray(row * vocab, (row + 1) * vocab);
      const advance = sequence.advance(logits, this.#vocabulary.eosIds);
      this.#events.push({ kind: "advanced", id: sequence.id, ...advance });
      if (advance.finish !== null) ended.add(sequence);
    }
  }

  /** The last sequence moves into the freed slot. */
  #remove(sequence: Sequence): void {
    const queued = this.#waiting.indexOf(sequence);
    if (queued >= 0) this.#waiting.splice(queued, 1);
    const slot = this.#running.indexOf(sequence);
    if (slot < 0) return;
    this.#remember(sequence);
    const last = this.#running.pop();
    if (last === undefined || last === sequence) return;
    this.#pool.copy(this.#running.length, slot, last.computed);
    this.#running[slot] = last;
  }
}
