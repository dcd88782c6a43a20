import { type DecoderConfig, kvRows } from "../graph/decoder.ts";
import { TYPE_BYTES } from "../graph/graph.ts";
import type { KvType } from "../graph/precision.ts";
import type { DecoderSession } from "../runtime/decoder-session.ts";
import type { KvCache } from "../runtime/kv-cache.ts";
import type { AdmissionLimits } from "./policy.ts";

/** Whose keys and values these are, and who gives the memory. */
type Owner = Pick<DecoderSession, "config" | "kvType" | "allocate" | "free">;

/** Room a slot can have, in tokens. Few sizes, because keys and values have to be copied from one to the next. */
const ROOMS = [128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192];

/** The smallest room for `tokens`. */
function roomFor(tokens: number): number {
  const most = ROOMS.at(-1) ?? 1;
  return ROOMS.find((room) => room >= tokens) ?? Math.ceil(tokens / most) * most;
}

/** Bytes of one token's keys and values. */
export const kvTokenBytes = (config: DecoderConfig, type: KvType): number =>
  kvRows(config) * config.headDim * TYPE_BYTES[type];

/** Bytes of a pool of that many slots for that many tokens. */
export function kvPoolBytes(
  config: DecoderConfig,
  type: KvType = "float32",
): (slots: number, tokens: number) => number {
  return (slots, tokens) => slots * roomFor(tokens) * kvTokenBytes(config, type);
}

/**
 * Keys and values of all running sequences, in slots 0 … n−1 of a cache that is as large as they need. Every slot has the same room, so
 * that neighbouring slots are one tensor [rows, kvHeads, room, headDim].
 */
export class KvPool {
  readonly #owner: Owner;
  readonly #limits: AdmissionLimits;
  #cache: KvCache;

  constructor(owner: Owner, limits: AdmissionLimits) {
    this.#owner = owner;
    this.#limits = limits;
    this.#cache = owner.allocate(0, 0);
  }

  get cache(): KvCache {
    return this.#cache;
  }

  get bytes(): number {
    return this.#cache.bytes;
  }

  /**
   * Makes room for `slots` slots of `tokens` tokens, and gives memory back when under a quarter of that length is needed. There are as
   * many slots at once as may ever be admitted at that length, so that nobody has to move for an arrival.
   *
   * @param used tokens in each slot that holds any; the rest is not carried over.
   */
  fit(slots: number, tokens: number, used: number[]): void {
    const room = roomFor(tokens);
    const isEnough = this.#cache.slots >= slots && this.#cache.room >= room;
    if (isEnough && this.#cache.room < room * 4) return;
    const most = Math.floor(this.#limits.kvBytes / kvPoolBytes(this.#owner.config, this.#owner.kvType)(1, tokens));
    const next = this.#owner.allocate(Math.max(slots, Math.min(most, this.#limits.rows)), room, {
      of: this.#cache,
      used,
    });
    this.#owner.free(this.#cache);
    this.#cache = next;
  }
}
