import { STRAIGHT_THROUGH } from "../gradient/int8-product.ts";
import type { GraphNode, Value } from "../graph.ts";
import { type Build, linear } from "../layers.ts";
import { quantiseChannels } from "../quantise.ts";
import { transpose } from "../rotation.ts";
import type { Purpose } from "./step.ts";

/**
 * The values that a linear layer reads: as its matrices take them, which may be as int8 codes, and as float32. `norm`: whose output they
 * are; `null` inside a layer.
 */
export type Read = { norm: string | null; input: Value; exact: Value };

/** A matrix of the model: its shape, and the module whose weight it is. */
type Matrix = { module: string; inputs: number; outputs: number; hasBias: boolean };

/** The model's own matrices, which are not trained; what reads their inputs may be. */
export class FrozenLayers {
  readonly #build: Build;
  readonly #purpose: Purpose;
  /**
   * Nodes to differentiate where others compute: rounding to int8 has no slope, so gradients pass as through the product of the values
   * that were rounded (a straight-through estimator, Bengio et al. 2013, section 4).
   */
  readonly standIns: GraphNode[] = [];

  constructor(build: Build, purpose: Purpose) {
    this.#build = build;
    this.#purpose = purpose;
  }

  /** x · Wᵀ + b, whose gradient by x is computed in int8 too where x · Wᵀ is. */
  product(read: Read, matrix: Matrix): Value {
    const { builder } = this.#build;
    const { module, inputs, outputs } = matrix;
    return this.#product(read, matrix, (names) => {
      const quantised = async () => quantiseChannels(transpose(await this.#weight(module), outputs, inputs), outputs);
      let known: Float32Array | null = null;
      const codes = builder.weight(`${module}.back.codes`, "int8", [outputs, inputs], async () => {
        const { codes, scales } = await quantised();
        known = scales;
        return transpose(codes, inputs, outputs);
      });
      // The codes are written first; few as they are, their scales need not be computed again.
      const scales = builder.weight(
        `${module}.back.scales`,
        "float32",
        [inputs],
        async () => known ?? (await quantised()).scales,
      );
      return { ...names, operator: STRAIGHT_THROUGH, inputs: [...names.inputs, codes.name, scales.name] };
    });
  }

  /** As {@link product}, but with a float32 gradient. One by logits is 1 at most and sums to 0: beside that, int8 rounds most of it away. */
  logits(read: Read, matrix: Matrix): Value {
    const { module, inputs, outputs } = matrix;
    return this.#product(read, matrix, (names) => {
      const weight = this.#build.builder.weight(`${module}.weight`, "float32", [inputs, outputs], async () =>
        transpose(await this.#weight(module), outputs, inputs),
      );
      return { ...names, operator: "MatMul", inputs: [...names.inputs, weight.name] };
    });
  }

  #product({ norm, input, exact }: Read, matrix: Matrix, standIn: (names: GraphNode) => GraphNode): Value {
    const { module, hasBias } = matrix;
    const product = linear(this.#build, module, norm === null ? "inner" : "normed", input, matrix, [module], hasBias);
    if (this.#build.layout !== "fp32" && this.#purpose === "train") {
      const names = { name: module, domain: "", inputs: [exact.name], outputs: [product.name], attributes: {} };
      this.standIns.push(standIn({ ...names, operator: "" }));
    }
    return product;
  }

  #weight(module: string): Promise<Float32Array> {
    return this.#build.source(`${module}.weight`);
  }
}
