import { kvRows } from "../graph/decoder.ts";
import type { DecoderSession } from "../runtime/decoder-session.ts";
import type { Advance } from "./answer.ts";
import { monotonicNow } from "./clock.ts";
import type { TokenBytes } from "./detokeniser.ts";
import { Generation, type GenerationRequest, type Progress } from "./generation.ts";
import { KvPool, kvPoolBytes, kvTokenBytes } from "./kv-pool.ts";
import { type AdmissionLimits, fits, type PolicyLimits, planStep, SHORTEST_PIECE } from "./policy.ts";
import { agreement, BLOCK_TOKENS, type CachedPiece, type KvReader, PrefixCache } from "./prefix-cache.ts";
import type { Sequence } from "./sequence.ts";
import { WaitingQueue } from "./waiting-queue.ts";

/** What computes a forward pass. */
type Decoder = Pick<DecoderSession, "config" | "kvType" | "allocate" | "free" | "run">;

export type EngineOptions = PolicyLimits &
  AdmissionLimits & {
    /** Bytes that keys and values of earlier prompts and answers may take. */
    prefixBytes: number;
  };

/** What the engine needs to know of the vocabulary. */
export type Vocabulary = { tokens: TokenBytes; eosIds: ReadonlySet<number> };

export type EngineEvent =
  /** `timeUp`: it ends here because its deadline came. */
  | ({ kind: "advanced"; id: string; timeUp?: true } & Advance)
  /** `cachedTokens` of the prompt were known from earlier requests. `at`: when, in the clock's milliseconds. */
  | { kind: "started"; id: string; cachedTokens: number; at: number }
  /** Its deadline came before anything was computed. */
  | { kind: "expired"; id: string }
  | { kind: "cancelled"; id: string; completionTokens: number }
  | { kind: "failed"; id: string; completionTokens: number; reason: string };

/** What one step did, and who runs after it. */
export type StepReport = {
  decodeRows: number;
  prefillTokens: number;
  /** Tokens that were guessed, and those of them that turned out right. */
  draftTokens: number;
  acceptedTokens: number;
  seconds: number;
  kvBytes: number;
  prefixBytes: number;
  /** Of the pool, what the tokens of running requests take, and their slots. */
  kvUsedBytes: number;
  kvSlots: number;
  running: Progress[];
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
  readonly #now: () => number;
  readonly #waiting = new WaitingQueue<Generation>();
  readonly #running = new Set<Generation>();
  readonly #rows: Sequence[] = [];
  #events: EngineEvent[] = [];
  #arrivals = 0;

  /** @param now milliseconds of the clock that deadlines are in */
  constructor(decoder: Decoder, vocabulary: Vocabulary, options: EngineOptions, now: () => number = monotonicNow) {
    this.#decoder = decoder;
    this.#vocabulary = vocabulary;
    this.#options = options;
    this.#now = now;
    this.#pool = new KvPool(decoder, options);
    this.#prefixes = new PrefixCache(kvRows(decoder.config) * decoder.config.headDim, options.prefixBytes);
  }

  get busy(): boolean {
    return this.#waiting.size + this.#running.size > 0;
  }

  submit(request: GenerationRequest): void {
    this.#waiting.push(new Generation(request, this.#arrivals++, this.#vocabulary), this.#now());
  }

  /** Takes a generation out, wherever it is. One that has ended already is left alone. */
  cancel(id: string): EngineEvent | null {
    const generation = [...this.#waiting, ...this.#running].find((candidate) => candidate.id === id);
    if (generation === undefined) return null;
    this.#remove(generation);
    return { kind: "cancelled", id, completionTokens: generation.completionTokens };
  }

  /** Admits who fits, computes one step for everybody planned, and reports what came of it. */
  step(): StepReport {
    const began = performance.now();
    this.#expire();
    this.#admit();
    this.#begin();
    this.#decodersFirst();
    const plan = planStep(this.#rows, this.#options);
    const decoding = plan.decode.map((slot) => this.#row(slot));
    const prefilling = plan.prefill.map(({ index, tokens }) => ({ sequence: this.#row(index), tokens }));

    const draft = this.#draft(decoding);
    if (decoding.length > 0) this.#forward(decoding, 1, draft);
    for (const { sequence, tokens } of prefilling) this.#forward([sequence], tokens);
    const accepted = this.#advance();
    if (draft.length > 0) decoding[0]?.lookup?.judge(draft.length, accepted);
    const used = this.#used();
    const { config, kvType } = this.#decoder;
    return {
      decodeRows: decoding.length,
      prefillTokens: prefilling.reduce((total, { tokens }) => total + tokens, 0),
      seconds: (performance.now() - began) / 1000,
      kvBytes: this.#pool.bytes,
      prefixBytes: this.#prefixes.bytes,
      kvUsedBytes: used.reduce((total, tokens) => total + tokens, 0) * kvTokenBytes(config, kvType),
      kvSlots: used.length,
      running: [...this.#running].map((generation) => generation.progress),
      draftTokens: draft.length,
      acceptedTokens: accepted,
      events: this.#events.splice(0),
    };
  }

  /** What the only sequence that decodes may say next. Together with others a draft would cost a pass of its own. */
  #draft([sequence, ...others]: Sequence[]): number[] {
    if (sequence === undefined || others.length > 0) return [];
    const { finalLengths = [] } = [...this.#running].find(({ sequences }) => sequences.includes(sequence)) ?? {};
    return sequence.draft(Math.max(...finalLengths) - sequence.computed - 1);
  }

  /** Ends what ran out of time: who has begun with what it has, the others without an answer. */
  #expire(): void {
    const now = this.#now();
    const late = [...this.#running].filter(({ deadline }) => deadline <= now);
    for (const generation of [...this.#waiting.expire(now), ...late]) {
      const { id } = generation;
      if (generation.begun) this.#events.push({ kind: "advanced", id, timeUp: true, ...generation.cut() });
      else this.#events.push({ kind: "expired", id });
      this.#remove(generation);
    }
  }

  /** In the order of the queue: the first that does not fit holds back the others, or a long one would wait for ever. */
  #admit(): void {
    const bytes = kvPoolBytes(this.#decoder.config, this.#decoder.kvType);
    for (let { next } = this.#waiting; next !== undefined; next = this.#waiting.next) {
      const lengths = [...this.#running, next].flatMap((generation) => generation.finalLengths);
      if (!fits(lengths, this.#options, bytes)) return;
      this.#waiting.remove(next);
      this.#running.add(next);
      this.#rows.push(...next.sequences);
      // Room for the longest answer there can be, so that nothing has to move while it grows.
      this.#pool.fit(lengths.length, Math.max(...lengths), this.#used());
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
        this.#events.push({ kind: "started", id: generation.id, cachedTokens: sequence.cached ?? 0, at: this.#now() });
      }
    }
  }

  /** @returns whether the sequence has begun. */
  #recall(sequence: Sequence): boolean {
    const pieces = this.#known(sequence);
    const known = pieces.reduce((total, { count }) => total + count, 0);
    sequence.held = this.#options.prefixBytes > 0 && this.#rows.some((other) => computesMore(other, sequence, known));
    if (sequence.held) return false;
    for (const { kv, count, canonical } of pieces) {
      this.#pool.cache.write(this.#rows.indexOf(sequence), sequence.computed, count, kv, BLOCK_TOKENS);
      if (canonical && sequence.canonical === sequence.computed) sequence.canonical += count;
      sequence.computed += count;
    }
    sequence.cached = known;
    return true;
  }

  /**
   * What can be used of earlier prompts. A reproducible sequence takes only what is to the last bit as it would compute it.
   */
  #known(sequence: Sequence): CachedPiece[] {
    const pieces = this.#prefixes.match(reusable(sequence), sequence.adapterKey);
    if (!sequence.reproducible) return pieces;
    const different = pieces.findIndex(({ canonical }) => !canonical);
    return different < 0 ? pieces : pieces.slice(0, different);
  }

  /** Keeps a sequence's keys and values for requests that begin like it. */
  #remember(sequence: Sequence): void {
    const slot = this.#rows.indexOf(sequence);
    const { computedTokens, canonical, adapterKey } = sequence;
    const read: KvReader = (offset, count, kv) => this.#pool.cache.read(slot, offset, count, kv, BLOCK_TOKENS);
    this.#prefixes.insert(computedTokens, canonical, read, adapterKey);
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
    this.#pool.cache.swap(a, b, first.computed, second.computed);
    this.#rows[a] = second;
    this.#rows[b] = first;
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
  #forward(sequences: Sequence[], count: number, draft: readonly number[] = []): void {
    const [first] = sequences;
    const firstSlot = first === undefined ? -1 : this.#rows.indexOf(first);
    // A pass that failed earlier in this step has taken its generations out, and with them perhaps this one.
    if (firstSlot < 0) return;
    let logits: Float32Array;
    try {
      logits = this.#decoder.run({
        cache: this.#pool.cache,
        firstSlot,
        tokens: sequences.map((sequence) => [...sequence.next(count), ...draft]),
        computed: sequences.map((sequence) => sequence.computed),
        adapters: sequences.map((sequence) => sequence.adapter),
        ...(draft.length > 0 && { logitRows: [0, ...draft.map((_, index) => index + 1)] }),
      });
    } catch (error) {
      this.#fail(sequences, error instanceof Error ? error.message : String(error));
      return;
    }
    const { vocab } = this.#decoder.config;
    for (const [row, sequence] of sequences.entries()) {
      const wasPrefilling = sequence.prefilling;
      const isCanonical = sequence.canonical === sequence.computed && count >= SHORTEST_PIECE;
      sequence.computed += count;
      if (isCanonical) sequence.canonical = sequence.computed;
      if (sequence.pending > 0) continue;
      if (wasPrefilling) this.#remember(sequence);
      const after = (token: number) => logits.subarray((row + token) * vocab, (row + token + 1) * vocab);
      sequence.guess(
        draft,
        [0, ...draft].map((_, index) => after(index)),
      );
    }
  }

  #fail(sequences: readonly Sequence[], reason: string): void {
    for (const generation of [...this.#running]) {
      if (!generation.sequences.some((sequence) => sequences.includes(sequence))) continue;
      this.#remove(generation);
      this.#events.push({ kind: "failed", id: generation.id, completionTokens: generation.completionTokens, reason });
    }
  }

  /**
   * Continues every generation whose logits are there, and takes out those that have ended.
   *
   * @returns drafted tokens that turned out right
   */
  #advance(): number {
    let accepted = 0;
    for (const generation of [...this.#running]) {
      try {
        for (let more = 0; ; more++) {
          const advance = generation.advance();
          if (advance === null) break;
          this.#events.push({ kind: "advanced", id: generation.id, ...advance });
          accepted += Math.min(1, more);
          if (advance.finish === null) continue;
          this.#remove(generation);
          break;
        }
      } catch (error) {
        this.#fail(generation.sequences, error instanceof Error ? error.message : String(error));
      }
    }
    // Whose partner under guidance is not as far keeps its logits; the next pass writes over the ones it was given.
    for (const sequence of this.#rows) sequence.logits = sequence.logits?.slice() ?? null;
    return accepted;
  }

  #remove(generation: Generation): void {
    this.#waiting.remove(generation);
    if (!this.#running.delete(generation)) return;
    for (const sequence of generation.sequences) this.#free(sequence);
  }

  /** The last sequence moves into the freed slot. */
  #free(sequence: Sequence): void {
    this.#remember(sequence);
    const slot = this.#rows.indexOf(sequence);
    const last = this.#rows.pop();
    if (last === undefined || last === sequence) return;
    this.#pool.cache.copy(this.#rows.length, slot, last.computed);
    this.#rows[slot] = last;
  }
}

/** The tokens of a prompt that need not be computed: all but the last, whose logits are wanted, in a piece as short as may be. */
const reusable = ({ prompt, reproducible }: Sequence): readonly number[] =>
  prompt.slice(0, reproducible ? -SHORTEST_PIECE : -1);

/** Whether `other` is computing more of the beginning of `sequence` than is known, in a way that it can use. */
function computesMore(other: Sequence, sequence: Sequence, known: number): boolean {
  if (!other.prefilling || other.adapterKey !== sequence.adapterKey) return false;
  if (sequence.reproducible && other.canonical < other.computed) return false;
  return agreement(other.prompt, reusable(sequence)) >= known + BLOCK_TOKENS;
}
