import type { KvType } from "../graph/precision.ts";
import type { KvCache, KvMemory, KvPass, KvShape, KvWindow } from "./kv-cache.ts";
import { KvTransfer } from "./kv-transfer.ts";
import { DeviceBuffer } from "./onnxruntime/device-buffer.ts";
import type { Provider } from "./onnxruntime/library.ts";
import type { BoundTensor } from "./onnxruntime/tensor.ts";

/**
 * From 32 new tokens on, onnxruntime 1.30 computes attention in a WebGPU kernel that is right only where so many lanes of the device work
 * in step as it expects: in SwiftShader, where 4 do, the tokens after the fourth are wrong. So prompts are read in shorter pieces.
 */
const PASS_TOKENS = 31;

/** Tokens of one slot, `count` from `offset` on. */
type Piece = { slot: number; offset: number; count: number };

/**
 * Keys and values in a device's memory. A tensor there begins where its buffer begins, so a pass over the first slots works in place,
 * as decoding does, while one over later slots works on a copy of them.
 */
class DeviceKvCache implements KvCache {
  readonly slots: number;
  readonly room: number;
  readonly #transfer: KvTransfer;
  readonly #shape: KvShape;
  /** As in a host's cache: one a layer's keys or values. None where there are no slots, for there are no empty buffers. */
  readonly #buffers: readonly DeviceBuffer[];
  /** The buffers as vectors, [slots · kvHeads · room, headDim]. */
  readonly #vectors: readonly BoundTensor[];
  /** By the number of rows, which begin at the first slot. */
  readonly #windows = new Map<number, KvWindow>();
  /** Copies of later slots, by the number of rows. */
  readonly #copies = new Map<number, DeviceKvCache>();

  constructor(transfer: KvTransfer, shape: KvShape, slots: number, room: number) {
    this.#transfer = transfer;
    this.#shape = shape;
    this.slots = slots;
    this.room = room;
    const { kvHeads, headDim } = shape;
    const { type, parts } = transfer.shape;
    const vectors = slots * kvHeads * room;
    const size = vectors * headDim;
    this.#buffers = Array.from(
      { length: vectors === 0 ? 0 : parts },
      () => new DeviceBuffer(transfer.session, type, size),
    );
    // Attention multiplies rows that nobody wrote by 0, which an infinity or NaN found there would survive.
    for (const buffer of this.#buffers) transfer.clear(buffer.view([size]), size);
    this.#vectors = this.#buffers.map((buffer) => buffer.view([vectors, headDim]));
  }

  get bytes(): number {
    const own = this.#buffers.reduce((total, { bytes }) => total + bytes, 0);
    return [...this.#copies.values()].reduce((total, { bytes }) => total + bytes, own);
  }

  resized(slots: number, room: number, used: readonly number[]): DeviceKvCache {
    const next = new DeviceKvCache(this.#transfer, this.#shape, slots, room);
    const pieces = used.map((count, slot) => ({ slot, offset: 0, count }));
    this.#moveTo(next, pieces, pieces);
    return next;
  }

  write(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    this.#transfer.write(
      repacked(kv, this.#shape.headDim, length, count),
      this.#vectors,
      this.#indexes([{ slot, offset, count }]),
    );
  }

  read(slot: number, offset: number, count: number, kv: Float32Array, length: number): void {
    const vectors = this.#transfer.read(this.#vectors, this.#indexes([{ slot, offset, count }]));
    kv.set(repacked(vectors, this.#shape.headDim, count, length));
  }

  copy(from: number, to: number, tokens: number): void {
    const piece = (slot: number) => [{ slot, offset: 0, count: tokens }];
    this.#moveTo(this, piece(from), piece(to));
  }

  swap(a: number, b: number, tokensOfA: number, tokensOfB: number): void {
    const ofA = { offset: 0, count: tokensOfA };
    const ofB = { offset: 0, count: tokensOfB };
    this.#moveTo(
      this,
      [
        { slot: a, ...ofA },
        { slot: b, ...ofB },
      ],
      [
        { slot: b, ...ofA },
        { slot: a, ...ofB },
      ],
    );
  }

  pass(pass: KvPass, compute: (window: KvWindow) => Float32Array): Float32Array {
    const { firstSlot, computed, count } = pass;
    const rows = computed.length;
    if (firstSlot === 0) return compute(this.#window(rows));
    const copy = this.#copies.get(rows) ?? new DeviceKvCache(this.#transfer, this.#shape, rows, this.room);
    this.#copies.set(rows, copy);
    const old = (first: number) => computed.map((tokens, row) => ({ slot: first + row, offset: 0, count: tokens }));
    const added = (first: number) => computed.map((tokens, row) => ({ slot: first + row, offset: tokens, count }));
    this.#moveTo(copy, old(firstSlot), old(0));
    // The copy serves other slots next, whose logits would be written where these are.
    const logits = copy.pass({ ...pass, firstSlot: 0 }, compute).slice();
    copy.#moveTo(this, added(0), added(firstSlot));
    return logits;
  }

  #moveTo(target: DeviceKvCache, from: readonly Piece[], to: readonly Piece[]): void {
    this.#transfer.move(this.#vectors, this.#indexes(from), target.#vectors, target.#indexes(to));
  }

  /** The pieces' vectors, head by head. */
  #indexes(pieces: readonly Piece[]): number[] {
    const { kvHeads } = this.#shape;
    return pieces.flatMap(({ slot, offset, count }) =>
      Array.from({ length: kvHeads * count }, (_, index) => {
        const head = slot * kvHeads + Math.floor(index / count);
        return head * this.room + offset + (index % count);
      }),
    );
  }

  #window(rows: number): KvWindow {
    const known = this.#windows.get(rows);
    if (known !== undefined) return known;
    const { layers, kvHeads, headDim } = this.#shape;
    const tensor = (part: number) => {
      const buffer = this.#buffers[part];
      if (buffer === undefined) throw new Error("There is no memory for keys and values");
      return buffer.view([rows, kvHeads, this.room, headDim]);
    };
    const window = {
      layers: Array.from({ length: layers }, (_, layer) => ({ key: tensor(2 * layer), value: tensor(2 * layer + 1) })),
    };
    this.#windows.set(rows, window);
    return window;
  }

  release(): void {
    for (const copy of this.#copies.values()) copy.release();
    for (const buffer of this.#buffers) buffer.release();
  }
}

/** Runs of `from` vectors, as the beginnings of runs of `to` vectors; what a run has too many is left out. */
function repacked(runs: Float32Array, headDim: number, from: number, to: number): Float32Array {
  if (from === to) return runs;
  const count = runs.length / (from * headDim);
  const packed = new Float32Array(count * to * headDim);
  for (let run = 0; run < count; run++) {
    const start = run * from * headDim;
    packed.set(runs.subarray(start, start + Math.min(from, to) * headDim), run * to * headDim);
  }
  return packed;
}

/** The memory of the device that a provider computes on, for a decoder of that shape. */
export async function deviceMemory(shape: KvShape, provider: Provider, type: KvType): Promise<KvMemory> {
  const transfer = await KvTransfer.open(provider, { parts: shape.layers * 2, headDim: shape.headDim, type });
  return {
    provider,
    type,
    passTokens: PASS_TOKENS,
    allocate: (slots, room) => new DeviceKvCache(transfer, shape, slots, room),
    release: () => transfer.release(),
  };
}
