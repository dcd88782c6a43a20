import { join } from "node:path";
import { type DecoderConfig, pastName, presentName } from "../graph/decoder.ts";
import type { KvType } from "../graph/precision.ts";
import type { AdapterBank, BankRange } from "./adapter-bank.ts";
import { GRAPH_FILE } from "./decoder-files.ts";
import { hostMemory } from "./host-kv-cache.ts";
import type { KvCache, KvMemory, KvWindow } from "./kv-cache.ts";
import { Binding, Session } from "./onnxruntime/session.ts";

/** One forward pass: rows of S new tokens each. Several rows bring one token each. */
export type DecoderBatch = {
  /** Where the rows' keys and values are, and room for the new ones. */
  cache: KvCache;
  /** The rows are the slots from this one on. */
  firstSlot: number;
  /** New tokens of each row, [B][S]. */
  tokens: readonly (readonly number[])[];
  /** Tokens of each row that the cache holds already, [B]. */
  computed: readonly number[];
  /** Which of the B·S tokens to give the logits after, [N]; without it, the last of each row. */
  logitRows?: readonly number[];
  /** Where the adapter of each row lies in the bank; without it, none has one. */
  adapters?: readonly (BankRange | null)[];
};

export type DecoderSessionOptions = {
  /** Adapters, for a graph that was built for them. */
  bank?: AdapterBank;
  /** Where keys and values are, and with them what computes; released with the session. Without it, this process' own memory. */
  memory?: KvMemory;
  /** The same decoder without a bank: it computes the batches in which nobody has an adapter. */
  plain?: string | Uint8Array;
};

/** The decoder graph in onnxruntime. `run` blocks the calling thread, so it belongs in a worker thread. */
export class DecoderSession {
  readonly config: DecoderConfig;
  readonly #session: Session;
  /** The same without a bank, for batches that need none. */
  readonly #plain: Session | null;
  readonly #memory: KvMemory;
  readonly #bank: AdapterBank | null;
  readonly #caches = new Map<KvCache, Map<Session, Map<KvWindow, Binding>>>();

  /**
   * @param model the directory that `ensureDecoder` returned, or a whole model in memory.
   * @param threads physical cores to compute on; 0 lets onnxruntime choose.
   * @throws OnnxRuntimeError where the model cannot be loaded
   */
  constructor(
    model: string | Uint8Array,
    config: DecoderConfig,
    threads = 0,
    { bank, memory = hostMemory(config), plain }: DecoderSessionOptions = {},
  ) {
    const load = (source: string | Uint8Array) =>
      new Session(typeof source === "string" ? join(source, GRAPH_FILE) : source, {
        threads,
        provider: memory.provider,
      });
    this.#session = load(model);
    this.#plain = plain === undefined ? null : load(plain);
    this.config = config;
    this.#bank = bank ?? null;
    this.#memory = memory;
  }

  /** How keys and values are held. */
  get kvType(): KvType {
    return this.#memory.type;
  }

  /**
   * Memory for keys and values of so many rows of up to so many tokens. It is the caller's to free.
   *
   * @param contents a cache to take the first tokens over from, `used` of each slot; it stays as it is.
   */
  allocate(slots: number, room: number, contents?: { of: KvCache; used: readonly number[] }): KvCache {
    const cache = contents?.of.resized(slots, room, contents.used) ?? this.#memory.allocate(slots, room);
    this.#caches.set(cache, new Map());
    return cache;
  }

  free(cache: KvCache): void {
    for (const bindings of this.#caches.get(cache)?.values() ?? []) {
      for (const binding of bindings.values()) binding.release();
    }
    this.#caches.delete(cache);
    cache.release();
  }

  /**
   * Computes the new tokens and writes their keys and values into the cache.
   *
   * @returns logits [N,vocab], valid until the next run over the same slots.
   * @throws OnnxRuntimeError
   */
  run(batch: DecoderBatch): Float32Array {
    const [row = []] = batch.tokens;
    const { passTokens } = this.#memory;
    if (row.length <= passTokens) return this.#pass(batch);
    // Of several rows each brings one token, so here there is one.
    const [computed = 0] = batch.computed;
    const { logitRows = [row.length - 1] } = batch;
    const { vocab } = this.config;
    const logits = new Float32Array(logitRows.length * vocab);
    for (let start = 0; start < row.length; start += passTokens) {
      const piece = row.slice(start, start + passTokens);
      const wanted = [...logitRows.entries()].filter(([, at]) => at >= start && at < start + piece.length);
      const own = wanted.length === 0 ? [piece.length - 1] : wanted.map(([, at]) => at - start);
      const found = this.#pass({ ...batch, tokens: [piece], computed: [computed + start], logitRows: own });
      for (const [place, [index]] of wanted.entries()) {
        logits.set(found.subarray(place * vocab, (place + 1) * vocab), index * vocab);
      }
    }
    return logits;
  }

  #pass({ cache, firstSlot, tokens, computed, logitRows, adapters }: DecoderBatch): Float32Array {
    const session = adapters?.some((adapter) => adapter !== null) ? this.#session : (this.#plain ?? this.#session);
    const rows = tokens.length;
    const count = tokens[0]?.length ?? 0;
    const lengths = computed.map((past) => past + count);
    const wanted = logitRows ?? tokens.map((_, row) => (row + 1) * count - 1);
    return cache.pass({ firstSlot, computed, count }, (window) => {
      const binding = this.#binding(session, cache, window);
      binding.feed("input_ids", BigInt64Array.from(tokens.flat(), BigInt), [rows, count]);
      binding.feed(
        "last_positions",
        Int32Array.from(lengths, (length) => length - 1),
        [rows],
      );
      binding.feed("longest", Int32Array.of(Math.max(...lengths)), []);
      binding.feed("logit_rows", BigInt64Array.from(wanted, BigInt), [wanted.length]);
      if (session === this.#session) this.#bank?.feed(binding, adapters ?? computed.map(() => null), count);
      const logits = binding.result("logits", [wanted.length, this.config.vocab]);
      binding.run();
      return logits;
    });
  }

  #binding(session: Session, cache: KvCache, window: KvWindow): Binding {
    const sessions = this.#caches.get(cache);
    if (sessions === undefined) throw new Error("These keys and values are not this session's");
    const bindings = sessions.get(session) ?? new Map<KvWindow, Binding>();
    sessions.set(session, bindings);
    const known = bindings.get(window);
    if (known !== undefined) return known;
    const binding = new Binding(session);
    for (const [layer, { key, value }] of window.layers.entries()) {
      for (const [kind, tensor] of [["key", key] as const, ["value", value] as const]) {
        binding.input(pastName(layer, kind), tensor);
        binding.output(presentName(layer, kind), tensor);
      }
    }
    bindings.set(window, binding);
    return binding;
  }

  release(): void {
    for (const cache of [...this.#caches.keys()]) this.free(cache);
    this.#session.release();
    this.#plain?.release();
    this.#memory.release();
  }
}
