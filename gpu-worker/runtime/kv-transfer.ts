import type { Graph } from "../graph/graph.ts";
import {
  buildKvClear,
  buildKvMove,
  buildKvRead,
  buildKvWrite,
  type KvParts,
  sourceName,
  targetName,
  writtenName,
} from "../graph/kv-transfer.ts";
import { serialiseGraph } from "../graph/serialise.ts";
import type { Provider } from "./onnxruntime/library.ts";
import { Binding, Session } from "./onnxruntime/session.ts";
import type { BoundTensor } from "./onnxruntime/tensor.ts";

/** A cache's keys and values by part, each as vectors, [vectors, headDim]. */
type Parts = readonly BoundTensor[];

/** Copies keys and values between caches of one device, and between them and the host, vector by vector. */
export class KvTransfer {
  readonly shape: KvParts;
  /** The session whose memory the caches are in. */
  readonly session: Session;
  readonly #read: Session;
  readonly #write: Session;
  readonly #clear: Session;

  private constructor(shape: KvParts, sessions: Record<"move" | "read" | "write" | "clear", Session>) {
    this.shape = shape;
    this.session = sessions.move;
    this.#read = sessions.read;
    this.#write = sessions.write;
    this.#clear = sessions.clear;
  }

  static async open(provider: Provider, shape: KvParts): Promise<KvTransfer> {
    const load = async (graph: Graph) => new Session(await serialiseGraph(graph, null), { threads: 1, provider });
    return new KvTransfer(shape, {
      move: await load(buildKvMove(shape)),
      read: await load(buildKvRead(shape)),
      write: await load(buildKvWrite(shape)),
      clear: await load(buildKvClear(shape)),
    });
  }

  /** Copies vectors `from` of one cache over vectors `to` of another, or of the same. */
  move(source: Parts, from: readonly number[], target: Parts, to: readonly number[]): void {
    if (from.length === 0) return;
    run(this.session, (binding) => {
      for (const [part, tensor] of source.entries()) binding.input(sourceName(part), tensor);
      bindTargets(binding, target, to);
      binding.feed("from", BigInt64Array.from(from, BigInt), [from.length]);
    });
  }

  /** @returns vectors `from` of every part, [parts, from, headDim]. */
  read(source: Parts, from: readonly number[]): Float32Array {
    const { parts, headDim } = this.shape;
    return run(this.#read, (binding) => {
      for (const [part, tensor] of source.entries()) binding.input(sourceName(part), tensor);
      binding.feed("from", BigInt64Array.from(from, BigInt), [from.length]);
      return binding.result("vectors", [parts * from.length, headDim]);
    });
  }

  /** @param vectors what to write over vectors `to` of every part, [parts, to, headDim]. */
  write(vectors: Float32Array, target: Parts, to: readonly number[]): void {
    const { parts, headDim } = this.shape;
    run(this.#write, (binding) => {
      bindTargets(binding, target, to);
      binding.feed("vectors", vectors, [parts, to.length, headDim]);
    });
  }

  /** Fills a tensor of one dimension with zeros. */
  clear(tensor: BoundTensor, size: number): void {
    run(this.#clear, (binding) => {
      binding.feed("size", BigInt64Array.of(BigInt(size)), [1]);
      binding.output("cleared", tensor);
    });
  }

  release(): void {
    for (const session of [this.#clear, this.#write, this.#read, this.session]) session.release();
  }
}

function bindTargets(binding: Binding, target: Parts, to: readonly number[]): void {
  for (const [part, tensor] of target.entries()) {
    binding.input(targetName(part), tensor);
    binding.output(writtenName(part), tensor);
  }
  binding.feed("to", BigInt64Array.from(to, BigInt), [to.length, 1]);
}

function run<T>(session: Session, bind: (binding: Binding) => T): T {
  const binding = new Binding(session);
  try {
    const bound = bind(binding);
    binding.run();
    return bound;
  } finally {
    binding.release();
  }
}
