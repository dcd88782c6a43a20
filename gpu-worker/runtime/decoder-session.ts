import { join } from "node:path";
import { type DecoderConfig, pastName, presentName } from "../graph/decoder.ts";
import { GRAPH_FILE } from "./decoder-files.ts";
import { KvCache, type KvWindow } from "./kv-cache.ts";
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
};

/** The decoder graph in onnxruntime. `run` blocks the calling thread, so it belongs in a worker thread. */
export class DecoderSession {
  readonly config: DecoderConfig;
  readonly #session: Session;
  readonly #caches = new Map<KvCache, Map<KvWindow, Binding>>();

  /**
   * @param model the directory that `ensureDecoder` returned, or a whole model in memory.
   * @param threads physical cores to compute on; 0 lets onnxruntime choose.
   * @throws OnnxRuntimeError where the model cannot be loaded
   */
  constructor(model: string | Uint8Array, config: DecoderConfig, threads = 0) {
    this.#session = new Session(typeof model === "string" ? join(model, GRAPH_FILE) : model, threads);
    this.config = config;
  }

  /** Memory for keys and values of so many rows of up to so many tokens. It is the caller's to free. */
  allocate(slots: number, room: number): KvCache {
    const cache = new KvCache(this.config, slots, room);
    this.#caches.set(cache, new Map());
    return cache;
  }

  free(cache: KvCache): void {
    for (const binding of this.#caches.get(cache)?.values() ?? []) binding.release();
    this.#caches.delete(cache);
    cache.release();
  }

  /**
   * Computes the new tokens and writes their keys and values into the cache.
   *
   * @returns logits [N,vocab], valid until the next run over the same slots.
   * @throws OnnxRuntimeError
   */
  run({ cache, firstSlot, tokens, computed, logitRows }: DecoderBatch): Float32Array {
    const rows = tokens.length;
    const sequence = tokens[0]?.length ?? 0;
    const lengths = computed.map((count) => count + sequence);
    const wanted = logitRows ?? tokens.map((_, row) => (row + 1) * sequence - 1);
    const binding = this.#binding(cache, cache.window(firstSlot, rows));
    binding.feed("input_ids", BigInt64Array.from(tokens.flat(), BigInt), [rows, sequence]);
    binding.feed(
      "last_positions",
      Int32Array.from(lengths, (length) => length - 1),
      [rows],
    );
    binding.feed("longest", Int32Array.of(Math.max(...lengths)), []);
    binding.feed("logit_rows", BigInt64Array.from(wanted, BigInt), [wanted.length]);
    const logits = binding.result("logits", [wanted.length, this.config.vocab]);
    binding.run();
    return logits;
  }

  #binding(cache: KvCache, window: KvWindow): Binding {
    const bindings = this.#caches.get(cache);
    if (bindings === undefined) throw new Error("These keys and values are not this session's");
    const known = bindings.get(window);
    if (known !== undefined) return known;
    const binding = new Binding(this.#session);
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
  }
}
