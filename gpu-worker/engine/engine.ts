import { kvRows } from "../graph/decoder.ts";
import type { DecoderOutput, DecoderSession } from "../runtime/decoder-session.ts";
import type { Advance } from "./answer.ts";
import { type BatchRow, decoderBatch } from "./batch.ts";
import type { TokenBytes } from "./detokeniser.ts";
import { Generation, type GenerationRequest } from "./generation.ts";
import { KvPool, kvPoolBytes } from "./kv-pool.ts";
import { type AdmissionLimits, fits, PIECE_TOKENS, type PolicyLimits, planStep } from "./policy.ts";
import { agreement, BLOCK_TOKENS, type CachedPiece, PrefixCache } from "./prefix-cache.ts";
import type { Sequence } from "./sequence.ts";

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
 * Continuous batching over one decoder. Generations join and leave between steps; the sequences that decode share one forward pass.
 *
 * `#rows[slot]` is the sequence in that slot of the KV pool. Sequences with one pending token come first, because a batch must be
 * neighbours in the pool.
 */
export class Engine {
  readonly #decoder: Decoder;
  readonly #options: EngineOptions;
  readonly #vocabulary: Vocabulary;
  readonly #pool: KvPool;
  readonly #prefixes: PrefixCache;
  readonly #waiting: Generation[] = [];
  readonly #running = new Set<Generation>();
  readonly #rows: Sequence[] = [];
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
    return this.#waiting.length + this.#running.size > 0;
  }

  submit(request: GenerationRequest): void {
    this.#waiting.push(new Generation(request, this.#arrivals++, this.#vocabulary));
  }

  /** Takes a generation out, wherever it is. One that has ended already is left alone. */
  cancel(id: string): EngineEvent | null {
    const generation = [...this.#waiting, ...this.#running].find((candidate) => candidate.id === id);
    if (generation === undefined) return null;
    this.#remove(generation);
    return { kind: "cancelled", id, completionTokens: generation.completionTokens };
  }

  /** Admits who fits, computes one step for everybody planned, and reports what came of it. */
  async step(): Promise<StepReport> {
    const began = performance.now();
    this.#admit();
    this.#begin();
    this.#decodersFirst();
    const plan = planStep(this.#rows, this.#options);
    const decoding = plan.decode.map((slot) => this.#row(slot));
    const prefilling = plan.prefill.map(({ index, tokens }) => ({ sequence: this.#row(index), tokens }));
    this.#reserve([...decoding.map((sequence) => ({ sequence, tokens: 1 })), ...prefilling]);

    if (decoding.length > 0) await this.#forward(decoding, 1);
    for (const { sequence, tokens } of prefilling) await this.#forward([sequence], tokens);
    this.#advance();
    return {
      decodeRows: decoding.length,
      prefillTokens: prefilling.reduce((total, { tokens }) => total + tokens, 0),
      seconds: (performance.now() - began) / 1000,
      kvBytes: this.#pool.bytes,
      prefixBytes: this.#prefixes.bytes,
      events: this.#events.splice(0),
    };
  }

  /** First come, first served: the first that does not fit holds back the others, or a long one would wait for ever. */
  #admit(): void {
    const bytes = kvPoolBytes(this.#decoder.config);
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const lengths = [...this.#running, next].flatMap((generation) => generation.finalLengths);
      if (!fits(lengths, this.#options, bytes)) return;
      this.#waiting.shift();
      this.#running.add(next);
      this.#rows.push(...next.sequences);
      this.#pool.fit(this.#rows.length, this.#pool.stride, this.#used());
    }
  }

  /**
   * Lets admitted sequences begin: each with what is known of its prompt in its slot, or not yet, while an earlier one is computing
   * more of the same beginning. So of many requests about one conversation, it is read once.
   */
  #begin(): void {
    for (const generation of this.#running) {
      for (const [index, sequence] of generation.sequences.entries()) {
        if (sequence.cached !== null || !this.#recall(sequence) || index > 0) continue;
        this.#events.push({ kind: "started", id: generation.id, cachedTokens: sequence.cached ?? 0 });
      }
    }
  }

  /** @returns whether the sequence has begun. */
  #recall(sequence: Sequence): boolean {
    const pieces = this.#known(sequence);
    const known = pieces.reduce((total, { count }) => total + count, 0);
    sequence.held = this.#options.prefixBytes > 0 && this.#rows.some((other) => computesMore(other, sequence, known));
    if (sequence.held) return false;
    this.#pool.fit(this.#rows.length, Math.max(known, this.#pool.stride), this.#used());
    for (const { kv, count, canonical } of pieces) {
      this.#pool.write(this.#rows.indexOf(sequence), sequence.computed, count, kv, BLOCK_TOKENS);
      if (canonical && sequence.canonical === sequence.computed) sequence.canonical += count;
      sequence.computed += count;
    }
    sequence.cached = known;
    return true;
  }

  /**
   * What can be used of earlier prompts. The last token is computed in any case, for its logits. Keys and values differ in their last
   * bits with the pieces they were computed in, so a reproducible sequence takes only whole pieces that it would have computed alike.
   */
  #known(sequence: Sequence): CachedPiece[] {
    const pieces = this.#prefixes.match(sequence.prompt.slice(0, -1));
    if (!sequence.reproducible) return pieces;
    const different = pieces.findIndex(({ count, canonical }) => !canonical || count < BLOCK_TOKENS);
    const alike = different < 0 ? pieces.length : different;
    return pieces.slice(0, wholePieces(alike * BLOCK_TOKENS) / BLOCK_TOKENS);
  }

  /** Keeps a sequence's keys and values for requests that begin like it. */
  #remember(sequence: Sequence): void {
    const slot = this.#rows.indexOf(sequence);
    this.#prefixes.insert(sequence.computedTokens, sequence.canonical, (offset, count, kv) =>
      this.#pool.read(slot, offset, count, kv, BLOCK_TOKENS),
    );
  }

  #decodersFirst(): void {
    let front = 0;
    for (const [slot, sequence] of this.#rows.entries()) {
      if (sequence.pending !== 1 || sequence.held) continue;
      this.#swap(front++, slot);
    }
  }

  #swap(a: number, b: number): void {
    if (a === b) return;
    const first = this.#row(a);
    const second = this.#row(b);
    this.#pool.swap(a, b, first.computed, second.computed);
    this.#rows[a] = second;
    this.#rows[b] = first;
  }

  #reserve(work: { sequence: Sequence; tokens: number }[]): void {
    const used = this.#used();
    const lengths = work.map(({ sequence, tokens }) => sequence.computed + tokens);
    if (used.length > 0) this.#pool.fit(used.length, Math.max(...used, ...lengths), used);
  }

  /** Tokens in each slot of the pool. */
  #used(): number[] {
    return this.#rows.map((sequence) => sequence.computed);
  }

  #row(slot: number): Sequence {
    const sequence = this.#rows[slot];
    if (sequence === undefined) throw new Error(`Slot ${slot} is empty`);
    return sequence;
  }

  /** One forward pass over sequences in neighbouring slots; those that it brought to their last token have their logits then. */
  async #forward(sequences: Sequence[], count: number): Promise<void> {
    const [first] = sequences;
    const firstSlot = first === undefined ? -1 : this.#rows.indexOf(first);
    // A pass that failed earlier in this step has taken its generations out, and with them perhaps this one.
    if (firstSlot < 0) return;
    const rows: BatchRow[] = sequences.map((sequence) => ({
      tokens: sequence.next(count),
      computed: sequence.computed,
    }));
    let output: DecoderOutput;
    try {
      output = await this.#decoder.run(decoderBatch(this.#decoder.config, this.#pool, firstSlot, rows));
    } catch (error) {
      this.#fail(sequences, error instanceof Error ? error.message : String(error));
      return;
    }
    const { vocab, headDim } = this.#decoder.config;
    const rowSize = kvRows(this.#decoder.config) * count * headDim;
    for (const [row, sequence] of sequences.entries()) {
      this.#pool.write(firstSlot + row, sequence.computed, count, output.newKv.subarray(row * rowSize), count);
      const wasPrefilling = sequence.prefilling;
      const { computed } = sequence;
      sequence.computed += count;
      // Where a piece begins decides on its last bits, where it ends does not.
      if (wasPrefilling && sequence.canonical === computed && computed === wholePieces(computed)) {
        sequence.canonical = sequence.computed;
      }
      if (sequence.pending > 0) continue;
      if (wasPrefilling) this.#remember(sequence);
      sequence.logits = output.logits.subarray(row * vocab, (row + 1) * vocab);
    }
  }

  #fail(sequences: readonly Sequence[], reason: string): void {
    for (const generation of [...this.#running]) {
      if (!generation.sequences.some((sequence) => sequences.includes(sequence))) continue;
      this.#remove(generation);
      this.#events.push({ kind: "failed", id: generation.id, completionTokens: generation.completionTokens, reason });
    }
  }

  /** Continues every generation whose logits are there, and takes out those that have ended. */
  #advance(): void {
    for (const generation of [...this.#running]) {
      try {
        const advance = generation.advance();
        if (advance === null) continue;
        this.#events.push({ kind: "advanced", id: generation.id, ...advance });
        if (advance.finish !== null) this.#remove(generation);
      } catch (error) {
        this.#fail(generation.sequences, error instanceof Error ? error.message : String(error));
      }
    }
  }

  #remove(generation: Generation): void {
    const queued = this.#waiting.indexOf(generation);
    if (queued >= 0) this.#waiting.splice(queued, 1);
    if (!this.#running.delete(generation)) return;
    for (const sequence of generation.sequences) this.#free(sequence);
  }

  /** The last sequence moves into the freed slot. */
  #free(sequence: Sequence): void {
    this.#remember(sequence);
    const slot = this.#rows.indexOf(sequence);
    const last = this.#rows.pop();
    if (last === undefined || last === sequence) return;
    this.#pool.copy(this.#rows.length, slot, last.computed);
    this.#rows[slot] = last;
  }
}

/** The part of so many tokens that makes whole pieces of a prompt. */
const wholePieces = (tokens: number): number => tokens - (tokens % PIECE_TOKENS);

/** Whether `other` is computing more of the beginning of `sequence` than is known, in a way that it can use. */
function computesMore(other: Sequence, sequence: Sequence, known: number): boolean {
  if (!other.prefilling) return false;
  const shared = agreement(other.prompt, sequence.prompt.slice(0, -1));
  if (!sequence.reproducible) return shared >= known + BLOCK_TOKENS;
  return other.canonical === other.computed && wholePieces(shared) > known;
}
