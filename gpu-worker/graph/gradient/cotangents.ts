import { int, string } from "../builder.ts";
import type { Value } from "../graph.ts";
import type { Emitter } from "./emitter.ts";

/** A cotangent that is zero but for `updates`, which are added at `indices` along an axis (as ScatterElements takes them). */
export type Scattered = { indices: Value; updates: Value; axis: number };

/** ∂loss/∂value of every value the backward pass has come to, as the terms of a sum. */
export class Cotangents {
  readonly #dense = new Map<string, Value[]>();
  readonly #scattered = new Map<string, Scattered[]>();

  has({ name }: Value): boolean {
    return this.#dense.has(name) || this.#scattered.has(name);
  }

  add({ name }: Value, term: Value | Scattered): void {
    if ("updates" in term) this.#scattered.set(name, [...(this.#scattered.get(name) ?? []), term]);
    else this.#dense.set(name, [...(this.#dense.get(name) ?? []), term]);
  }

  onlyScatter({ name }: Value): Scattered | null {
    const [first, ...others] = this.#scattered.get(name) ?? [];
    return first !== undefined && others.length === 0 && !this.#dense.has(name) ? first : null;
  }

  /** The sum of all terms, which is computed once. */
  total(value: Value, emitter: Emitter): Value {
    const terms = this.#dense.get(value.name) ?? [];
    let total = summed(terms, emitter);
    for (const { indices, updates, axis } of this.#scattered.get(value.name) ?? []) {
      total ??= emitter.emit("ConstantOfShape", [emitter.emit("Shape", [value])]);
      // Not ScatterND: onnxruntime 1.30 adds its slices in parallel, and loses some where two go to one place.
      total = emitter.emit("ScatterElements", [total, indices, updates], {
        attributes: { axis: int(axis), reduction: string("add") },
      });
    }
    total ??= emitter.emit("ConstantOfShape", [emitter.emit("Shape", [value])]);
    this.#dense.set(value.name, [total]);
    this.#scattered.delete(value.name);
    return total;
  }
}

function summed(terms: Value[], emitter: Emitter): Value | undefined {
  if (terms.length < 2) return terms[0];
  return emitter.emit(terms.length === 2 ? "Add" : "Sum", terms);
}
