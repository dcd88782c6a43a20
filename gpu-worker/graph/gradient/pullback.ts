import { type GraphBuilder, int } from "../builder.ts";
import type { GraphNode, Value } from "../graph.ts";
import type { Cotangents, Scattered } from "./cotangents.ts";
import { Emitter } from "./emitter.ts";
import type { Facts } from "./infer-shapes.ts";
import { repeatedAxes, reshapeTarget, type Shape } from "./shape.ts";

/** One forward node on the way back: what its rule reads, and where it leaves the cotangents of the node's inputs. */
export class Pullback extends Emitter {
  readonly node: GraphNode;
  readonly facts: Facts;
  readonly #cotangents: Cotangents;
  readonly #isWanted: (name: string) => boolean;

  constructor(
    builder: GraphBuilder,
    node: GraphNode,
    facts: Facts,
    cotangents: Cotangents,
    isWanted: (name: string) => boolean,
  ) {
    super(builder, `gradient.${node.name}`);
    this.node = node;
    this.facts = facts;
    this.#cotangents = cotangents;
    this.#isWanted = isWanted;
  }

  input(index: number): Value {
    return { name: this.node.inputs[index] ?? "" };
  }

  output(index: number): Value {
    return { name: this.node.outputs[index] ?? "" };
  }

  /** ∂loss/∂output as a whole tensor; zeros where the loss does not depend on it. */
  cotangent(index = 0): Value {
    return this.#cotangents.total(this.output(index), this);
  }

  /** ∂loss/∂output where it is nothing but one scatter, which a rule may use without making it whole. */
  scattered(index = 0): Scattered | null {
    return this.#cotangents.onlyScatter(this.output(index));
  }

  /** Adds to ∂loss/∂input; computed only where that is wanted. */
  pull(index: number, contribution: () => Value | Scattered): void {
    const input = this.input(index);
    if (this.#isWanted(input.name)) this.#cotangents.add(input, contribution());
  }

  /** @throws Error where the shape is not known before the graph runs */
  shape({ name }: Value): Shape {
    const shape = this.facts.shapes.get(name);
    if (shape === undefined) throw this.refusal(`the shape of ${name} is not known`);
    return shape;
  }

  refusal(reason: string): Error {
    return new Error(`${this.node.operator} ${this.node.name} cannot be differentiated: ${reason}`);
  }

  /** A value like this node's output, summed over the axes along which an input was repeated. */
  reducedTo(value: Value, target: Value): Value {
    const { missing, single } = repeatedAxes(this.shape(this.output(0)), this.shape(target));
    const sum = (from: Value, axes: number[], keepdims: number) =>
      axes.length === 0
        ? from
        : this.emit("ReduceSum", [from, this.integers(axes)], { attributes: { keepdims: int(keepdims) } });
    return sum(sum(value, missing, 0), single, 1);
  }

  /** @param from what `value` is shaped like */
  reshapedLike(value: Value, from: Value, target: Value): Value {
    const fixed = reshapeTarget(this.shape(from), this.shape(target));
    return this.emit("Reshape", [value, fixed === null ? this.emit("Shape", [target]) : this.integers(fixed)]);
  }
}

/** Vector–Jacobian product of one operator: from the cotangents of a node's outputs to those of its inputs. */
export type Rule = (pullback: Pullback) => void;
