import { DATA_TYPES, TYPE_BYTES } from "../../graph/graph.ts";
import type { KvType } from "../../graph/precision.ts";
import { type Handle, onnxruntime } from "./library.ts";
import type { Session } from "./session.ts";
import type { BoundTensor } from "./tensor.ts";

/** Memory of the device that a session computes on. */
export class DeviceBuffer {
  readonly bytes: number;
  readonly #session: Session;
  readonly #type: KvType;
  /** Owns the memory. */
  readonly #tensor: Handle;
  readonly #views: Handle[] = [];

  /** @param size values it has room for. */
  constructor(session: Session, type: KvType, size: number) {
    const { allocateTensor } = onnxruntime();
    this.#session = session;
    this.#type = type;
    this.bytes = size * TYPE_BYTES[type];
    this.#tensor = allocateTensor(session.allocator, BigInt64Array.of(BigInt(size)), 1, DATA_TYPES[type]);
  }

  /**
   * A tensor over its first values, of any shape; it lives as long as the buffer. There are none that begin further behind, because
   * WebGPU knows a buffer by its name and not by an address.
   */
  view(shape: readonly number[]): BoundTensor {
    const { createTensor, dataOf } = onnxruntime();
    const bytes = shape.reduce((product, length) => product * length, TYPE_BYTES[this.#type]);
    if (bytes > this.bytes) throw new RangeError(`A tensor of shape [${shape}] is larger than its buffer`);
    const handle = createTensor(
      this.#session.memory,
      dataOf(this.#tensor),
      bytes,
      BigInt64Array.from(shape, BigInt),
      shape.length,
      DATA_TYPES[this.#type],
    );
    this.#views.push(handle);
    return { handle };
  }

  release(): void {
    const { releaseTensor } = onnxruntime();
    for (const view of this.#views.splice(0)) releaseTensor(view);
    releaseTensor(this.#tensor);
  }
}
