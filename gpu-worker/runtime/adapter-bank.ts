import {
  BANK_MASK,
  type BankSite,
  BLOCK_GROUPS,
  bankShape,
  bankSites,
  COMPENSATION,
  GROUP_RANKS,
} from "../graph/adapter-bank.ts";
import type { DecoderConfig } from "../graph/decoder.ts";
import { transpose } from "../graph/rotation.ts";
import type { Binding } from "./onnxruntime/session.ts";
import { Tensor } from "./onnxruntime/tensor.ts";

/** Where an adapter lies in the bank, in groups of ranks. */
export type BankRange = { first: number; groups: number };

/** One input of the graph in the bank's memory: so many values for each group. */
type BankTensor = { name: string; groupSize: number; values: Float32Array; shape: (groups: number) => number[] };

function tensorsOf(site: BankSite): Omit<BankTensor, "values">[] {
  const count = site.projections.length;
  const down = {
    name: site.input,
    groupSize: count * site.inputs * GROUP_RANKS,
    shape: (groups: number) => [groups, count, site.inputs, GROUP_RANKS],
  };
  const up = site.projections.map(({ input, outputs }) => ({
    name: input,
    groupSize: GROUP_RANKS * outputs,
    shape: (groups: number) => [groups * GROUP_RANKS, outputs],
  }));
  return [down, ...up];
}

/** Bytes that a group of ranks takes, over all layers. */
export function bankGroupBytes(config: DecoderConfig): number {
  const sizes = bankSites(config).flatMap((site) => tensorsOf(site).map(({ groupSize }) => groupSize));
  return sizes.reduce((total, size) => total + size, 0) * Float32Array.BYTES_PER_ELEMENT;
}

/** One projection's part of an adapter. */
export type BankUpdate = {
  rank: number;
  scale: number;
  /** A, [rank, inputs], and B, [outputs, rank], in the basis of the decoder's weights. */
  down: Float32Array;
  up: Float32Array;
};

/**
 * The matrices of all adapters that are loaded, side by side in the order of their ranks, so that any neighbouring ones are one tensor.
 * Threads share the memory: one writes an adapter where none is, while another computes with those that are there. The system gives
 * memory to a page when something is first written there.
 */
export class AdapterBank {
  /** Groups that there is room for. */
  readonly groups: number;
  readonly #sites: BankSite[];
  readonly #tensors = new Map<string, BankTensor>();
  /** Of one group without ranks, for passes in which no row has an adapter; the same memory for all inputs, so it stays in a cache. */
  readonly #nothing: Float32Array;
  /** What each binding reads. */
  readonly #bound = new WeakMap<Binding, string>();
  readonly #widths: Set<number>;

  constructor(config: DecoderConfig, memory: SharedArrayBuffer) {
    this.#sites = bankSites(config);
    this.groups = Math.floor(memory.byteLength / bankGroupBytes(config));
    let offset = 0;
    for (const tensor of this.#sites.flatMap(tensorsOf)) {
      const values = new Float32Array(memory, offset, this.groups * tensor.groupSize);
      offset += values.byteLength;
      this.#tensors.set(tensor.name, { ...tensor, values });
    }
    this.#nothing = new Float32Array(Math.max(...[...this.#tensors.values()].map(({ groupSize }) => groupSize)));
    this.#widths = new Set(this.#sites.map(({ projections }) => projections.length));
  }

  /**
   * Writes an adapter's matrices, and zeros wherever it has none.
   *
   * @param read what it adds to a projection, by its path in the model; `null` where nothing
   */
  async write(range: BankRange, read: (module: string) => Promise<BankUpdate | null>): Promise<void> {
    for (const site of this.#sites) {
      const down = this.#part(site.input, range).fill(0);
      for (const [index, { module, input, outputs }] of site.projections.entries()) {
        const up = this.#part(input, range).fill(0);
        const update = await read(module);
        if (update === null) continue;
        writeDown(down, site, index, update);
        const factor = update.scale * COMPENSATION;
        up.set(transpose(update.up, outputs, update.rank).map((value) => value * factor));
      }
    }
  }

  /**
   * Lets a pass read the adapters of its rows.
   *
   * @param adapters of each row
   * @param sequence tokens of each row
   */
  feed(binding: Binding, adapters: readonly (BankRange | null)[], sequence: number): void {
    const { first, groups } = windowOf(adapters.filter((adapter) => adapter !== null));
    this.#bind(binding, first, groups);
    const width = Math.max(1, groups);
    const mask = adapters.flatMap((adapter) => {
      const has = (group: number) =>
        adapter !== null && group >= adapter.first && group < adapter.first + adapter.groups ? 1 : 0;
      const row = Array.from({ length: width }, (_, index) => has(first + index));
      return Array.from({ length: sequence }, () => row).flat();
    });
    binding.feed(BANK_MASK, Float32Array.from(mask), [adapters.length * sequence, width, 1]);
    for (const count of this.#widths) {
      const shape = BigInt64Array.from([count * adapters.length, sequence, width * GROUP_RANKS], BigInt);
      binding.feed(bankShape(count), shape, [3]);
    }
  }

  #bind(binding: Binding, first: number, groups: number): void {
    const window = `${first}+${groups}`;
    if (this.#bound.get(binding) === window) return;
    for (const { name, groupSize, shape } of this.#tensors.values()) {
      const values = groups === 0 ? this.#nothing.subarray(0, groupSize) : this.#part(name, { first, groups });
      const tensor = new Tensor(values, shape(Math.max(1, groups)));
      binding.input(name, tensor);
      // The binding holds a reference of its own, and the memory is held here.
      tensor.release();
    }
    this.#bound.set(binding, window);
  }

  #part(name: string, { first, groups }: BankRange): Float32Array {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined || first + groups > this.groups) throw new RangeError(`The bank has no such ${name}`);
    return tensor.values.subarray(first * tensor.groupSize, (first + groups) * tensor.groupSize);
  }
}

/** A [rank, inputs] to its projection's places in [groups, projections, inputs, GROUP_RANKS]. */
function writeDown(target: Float32Array, { inputs, projections }: BankSite, index: number, update: BankUpdate): void {
  for (let rank = 0; rank < update.rank; rank++) {
    const group = Math.floor(rank / GROUP_RANKS);
    const start = (group * projections.length + index) * inputs * GROUP_RANKS + (rank % GROUP_RANKS);
    for (let input = 0; input < inputs; input++) {
      target[start + input * GROUP_RANKS] = update.down[rank * inputs + input] ?? 0;
    }
  }
}

/** The groups that a pass reads: from the first of its adapters to the last, from the beginning of a block where that is more than one. */
function windowOf(ranges: readonly BankRange[]): BankRange {
  if (ranges.length === 0) return { first: 0, groups: 0 };
  const first = Math.min(...ranges.map((range) => range.first));
  const end = Math.max(...ranges.map((range) => range.first + range.groups));
  const start = end - first <= BLOCK_GROUPS ? first : first - (first % BLOCK_GROUPS);
  return { first: start, groups: end - start };
}

/**
 * The first place with room for so many groups, within one block where they fit into one, else from the beginning of a block.
 *
 * @param taken what adapters lie in
 * @returns `null` where there is none
 */
export function freeRange(capacity: number, taken: readonly BankRange[], groups: number): BankRange | null {
  for (let first = 0; first + groups <= capacity; first++) {
    const offset = first % BLOCK_GROUPS;
    if (offset > 0 && offset + groups > BLOCK_GROUPS) continue;
    const isFree = taken.every((range) => range.first >= first + groups || range.first + range.groups <= first);
    if (isFree) return { first, groups };
  }
  return null;
}
