import { type Handle, onnxruntime, type SessionSettings, sessionOptions } from "./library.ts";
import { type BoundTensor, Tensor, type TensorArray } from "./tensor.ts";

/** A graph that onnxruntime has loaded. */
export class Session {
  readonly handle: Handle;
  /** Says of memory that it is that of the device which computes. */
  readonly memory: Handle;
  #allocator: Handle | null = null;

  /** @param model the path of an ONNX file, or a whole model in memory. */
  constructor(model: string | Uint8Array, settings: SessionSettings) {
    const { environment, hostMemory, webGpuMemory, createSession, createSessionFromArray, releaseOptions } =
      onnxruntime();
    this.memory = settings.provider === "webgpu" ? webGpuMemory : hostMemory;
    const options = sessionOptions(settings);
    try {
      this.handle =
        typeof model === "string"
          ? createSession(environment, model, options)
          : createSessionFromArray(environment, model, model.byteLength, options);
    } finally {
      releaseOptions(options);
    }
  }

  /** Gives memory of the device that computes. What it gave has to be released before the session is. */
  get allocator(): Handle {
    this.#allocator ??= onnxruntime().createAllocator(this.handle, this.memory);
    return this.#allocator;
  }

  release(): void {
    if (this.#allocator !== null) onnxruntime().releaseAllocator(this.#allocator);
    onnxruntime().releaseSession(this.handle);
  }
}

/** Which memory a session reads and writes, kept from run to run. */
export class Binding {
  readonly #session: Session;
  readonly #handle: Handle;
  /** Tensors of this binding's own, by the name of the input or output. */
  readonly #own = new Map<string, Tensor>();

  constructor(session: Session) {
    this.#session = session;
    this.#handle = onnxruntime().createBinding(session.handle);
  }

  /** Lets the graph read a tensor that is the caller's, and has to live as long as the binding is used. */
  input(name: string, tensor: BoundTensor): void {
    onnxruntime().bindInput(this.#handle, name, tensor.handle);
  }

  /** Lets the graph write into a tensor that is the caller's. */
  output(name: string, tensor: BoundTensor): void {
    onnxruntime().bindOutput(this.#handle, name, tensor.handle);
  }

  /** Copies values to where the graph reads them. */
  feed(name: string, data: TensorArray, shape: readonly number[]): void {
    const known = this.#own.get(name);
    const isInPlace = known !== undefined && overwrite(known, data, shape);
    // Bound each time, for what a device reads is copied to it at that moment.
    this.input(name, isInPlace ? known : this.#keep(name, new Tensor(data, shape)));
  }

  /** Where the graph writes a float32 output: the same memory each time, as long as the output fits into it. */
  result(name: string, shape: readonly number[]): Float32Array {
    const known = this.#own.get(name);
    if (known?.data instanceof Float32Array && isSameShape(known.shape, shape)) return known.data;
    const size = shape.reduce((product, length) => product * length, 1);
    const memory = known?.data.buffer;
    const fits = memory !== undefined && memory.byteLength >= size * Float32Array.BYTES_PER_ELEMENT;
    const data = fits ? new Float32Array(memory, 0, size) : new Float32Array(size);
    this.output(name, this.#keep(name, new Tensor(data, shape)));
    return data;
  }

  #keep(name: string, tensor: Tensor): Tensor {
    this.#own.get(name)?.release();
    this.#own.set(name, tensor);
    return tensor;
  }

  /** Computes, blocking the thread until every output is written. @throws OnnxRuntimeError */
  run(): void {
    onnxruntime().runBound(this.#session.handle, null, this.#handle);
  }

  release(): void {
    onnxruntime().releaseBinding(this.#handle);
    for (const tensor of this.#own.values()) tensor.release();
    this.#own.clear();
  }
}

/** @returns whether the values fit into the tensor, where they are now. */
function overwrite(tensor: Tensor, data: TensorArray, shape: readonly number[]): boolean {
  if (!isSameShape(tensor.shape, shape)) return false;
  const place = tensor.data;
  if (place instanceof BigInt64Array && data instanceof BigInt64Array) place.set(data);
  else if (place instanceof Int32Array && data instanceof Int32Array) place.set(data);
  else if (place instanceof Float32Array && data instanceof Float32Array) place.set(data);
  else return false;
  return true;
}

const isSameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((length, axis) => length === b[axis]);
