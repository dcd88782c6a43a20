import type { GraphBuilder } from "../builder.ts";
import type { Attribute, Value } from "../graph.ts";

type Options = { domain?: "" | "com.microsoft"; attributes?: Record<string, Attribute> };

/** Appends nodes of the backward pass, named after the forward node they belong to. */
export class Emitter {
  readonly #builder: GraphBuilder;
  readonly #prefix: string;
  #count = 0;

  constructor(builder: GraphBuilder, prefix: string) {
    this.#builder = builder;
    this.#prefix = prefix;
  }

  emit(operator: string, inputs: Value[], options: Options = {}): Value {
    this.#count++;
    return this.#builder.node(operator, `${this.#prefix}.${this.#count}.${operator}`, inputs, options);
  }

  emitSeveral(operator: string, inputs: Value[], count: number, options: Options = {}): Value[] {
    this.#count++;
    const outputs = Array.from({ length: count }, (_, index) => String(index));
    return this.#builder.nodes(operator, `${this.#prefix}.${this.#count}.${operator}`, inputs, outputs, options);
  }

  integers(values: readonly number[]): Value {
    const data = BigInt64Array.from(values, BigInt);
    return this.#builder.shared(`gradient.integers.${values.join(",")}`, "int64", [values.length], data);
  }

  byte(value: number): Value {
    return this.#builder.shared(`gradient.byte.${value}`, "uint8", [], Uint8Array.of(value));
  }

  scalar(value: number): Value {
    return this.#builder.shared(`gradient.scalar.${value}`, "float32", [], Float32Array.of(value));
  }
}
