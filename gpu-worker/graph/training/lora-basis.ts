import { type GraphBuilder, int } from "../builder.ts";
import type { DecoderConfig } from "../decoder.ts";
import type { Value } from "../graph.ts";
import { MICROSOFT, type WeightSource } from "../layers.ts";
import { rotatedUpdate } from "../rotated-weights.ts";
import { Rotation } from "../rotation.ts";
import type { Read } from "./frozen-layers.ts";

/** Where a matrix' outputs go: they are added to the residual stream, or stay inside a layer. */
export type Writes = "residual" | "inner";

/**
 * Brings an adapter's matrices, which are trained as PEFT has them, into the basis of rotated weights (rotated-weights.ts). What reads the
 * normalised residual stream becomes A · diag(γ) · R, what writes into it Rᵀ · B; inside a layer the basis scales channels only. The
 * matrices are small, so this costs two products a layer and step, and nothing a token.
 */
export class LoraBasis {
  readonly #builder: GraphBuilder;
  readonly #config: DecoderConfig;
  readonly #source: WeightSource;

  /** @param source of the model's weights in its own basis */
  constructor(builder: GraphBuilder, config: DecoderConfig, source: WeightSource) {
    this.#builder = builder;
    this.#config = config;
    this.#source = source;
  }

  /** @param down [ranks, inputs], of projections that read what `module` reads */
  reader(module: string, { norm }: Read, down: Value, inputs: number): Value {
    const builder = this.#builder;
    const factors = builder.weight(`${module}.read`, "float32", [inputs], () =>
      norm === null
        ? rotatedUpdate(this.#source, this.#config, module).down(new Float32Array(inputs).fill(1))
        : this.#source(`${norm}.weight`),
    );
    const scaled = builder.node("Mul", `${module}.reader`, [down, factors]);
    return norm === null ? scaled : builder.node("MatMul", `${module}.reader.turned`, [scaled, this.#rotation()]);
  }

  /** @param up [outputs, rank], of `module` */
  writer(module: string, writes: Writes, up: Value, outputs: number): Value {
    const builder = this.#builder;
    if (writes === "residual") {
      return builder.node("FusedMatMul", `${module}.writer.turned`, [this.#rotation(), up], {
        domain: MICROSOFT,
        attributes: { transA: int(1) },
      });
    }
    const factors = builder.weight(`${module}.written`, "float32", [outputs, 1], () =>
      rotatedUpdate(this.#source, this.#config, module).up(new Float32Array(outputs).fill(1)),
    );
    return builder.node("Mul", `${module}.writer`, [up, factors]);
  }

  /** R, [hidden, hidden]. */
  #rotation(): Value {
    const { hidden } = this.#config;
    const identity = Float32Array.from({ length: hidden * hidden }, (_, index) => (index % (hidden + 1) === 0 ? 1 : 0));
    return this.#builder.shared("rotation", "float32", [hidden, hidden], new Rotation(hidden).rows(identity));
  }
}
