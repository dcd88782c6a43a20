import { float, type GraphBuilder, int, ints } from "./builder.ts";
import type { DecoderConfig } from "./decoder.ts";
import type { Value } from "./graph.ts";

/**
 * Ranks that stand together: every adapter has a whole number of such groups in the bank. With 16 outputs onnxruntime never divides a
 * product over K between threads, and sums it in an order that depends on K alone, so a row's numbers depend neither on the rows nor on
 * the adapters beside it.
 */
export const GROUP_RANKS = 16;

/**
 * Groups whose ranks onnxruntime sums without a break (its slices of K are 128 long, or longer). An adapter that lies within such a
 * block is summed in one order, wherever it lies.
 */
export const BLOCK_GROUPS = 128 / GROUP_RANKS;

/** Projections that read the same values: their A are one product. */
export type BankSite = {
  /** Of its graph input, A [groups, projections, inputs, GROUP_RANKS]. */
  input: string;
  inputs: number;
  projections: BankProjection[];
};

/** `input`: of the graph, B [groups · GROUP_RANKS, outputs], which holds the adapter's scale and {@link COMPENSATION}. */
type BankProjection = { module: string; input: string; outputs: number };

/** float32 [tokens, groups, 1]: 1 where a token's adapter has the group, else 0. */
export const BANK_MASK = "bank.mask";

/** int64 [3]: the shape of what a site with so many projections computes between A and B: projections · rows, tokens of each, ranks. */
export const bankShape = (projections: number): string => `bank.shape.${projections}`;

/**
 * Of both products. With a factor other than 1 onnxruntime computes a single row as it computes several; powers of two change no digit.
 */
const ALPHA = 0.5;
export const COMPENSATION = 1 / (ALPHA * ALPHA);

/** All places where adapters may add something, in the order of the graph. */
export function bankSites(config: DecoderConfig): BankSite[] {
  const { layers, hidden, heads, kvHeads, headDim, intermediate } = config;
  const site = (layer: string, inputs: number, outputs: Record<string, number>): BankSite => ({
    input: `bank.${layer}.${Object.keys(outputs).join("+")}.A`,
    inputs,
    projections: Object.entries(outputs).map(([name, width]) => {
      const module = `${layer}.${name}`;
      return { module, input: `bank.${module}.B`, outputs: width };
    }),
  });
  return Array.from({ length: layers }, (_, index) => {
    const attention = `model.layers.${index}.self_attn`;
    const mlp = `model.layers.${index}.mlp`;
    return [
      site(attention, hidden, { q_proj: heads * headDim, k_proj: kvHeads * headDim, v_proj: kvHeads * headDim }),
      site(attention, heads * headDim, { o_proj: hidden }),
      site(mlp, hidden, { gate_proj: intermediate, up_proj: intermediate }),
      site(mlp, intermediate, { down_proj: hidden }),
    ];
  }).flat();
}

/** The bank as the layers use it: each adds what the adapters of its rows add. */
export class BankBuilder {
  readonly #builder: GraphBuilder;
  readonly #sites: Map<string, BankSite>;
  readonly #mask: Value;
  readonly #shapes: Map<number, Value>;

  constructor(builder: GraphBuilder, config: DecoderConfig) {
    const sites = bankSites(config);
    this.#builder = builder;
    this.#sites = new Map(sites.flatMap((site) => site.projections.map(({ module }) => [module, site])));
    this.#mask = builder.input(BANK_MASK, "float32", ["tokens", "groups", 1]);
    const widths = new Set(sites.map(({ projections }) => projections.length));
    this.#shapes = new Map([...widths].map((width) => [width, builder.input(bankShape(width), "int64", [3])]));
  }

  /**
   * ((x · A) ⊙ mask) · B of each projection of a site, [B,S,outputs].
   *
   * @param input x, [B,S,inputs]
   * @param module any projection of the site
   */
  deltas(module: string, input: Value): Value[] {
    const builder = this.#builder;
    const site = this.#sites.get(module);
    if (site === undefined) throw new Error(`The bank has no place for ${module}`);
    const { projections, inputs } = site;
    const count = projections.length;
    const shape = this.#shapes.get(count);
    if (shape === undefined) throw new Error(`No site has ${count} projections`);
    const down = builder.input(site.input, "float32", ["groups", count, inputs, GROUP_RANKS]);
    const size = builder.sharedIntegers(`bank.tokens.${inputs}`, [1, 1, -1, inputs]);
    const tokens = builder.node("Reshape", `${site.input}.tokens`, [input, size]);
    const reduced = this.#product(`${site.input}.reduced`, tokens, down);
    const turned = builder.node("Transpose", `${site.input}.turned`, [reduced], {
      attributes: { perm: ints(1, 2, 0, 3) },
    });
    const own = builder.node("Mul", `${site.input}.own`, [turned, this.#mask]);
    const rows = builder.node("Reshape", `${site.input}.rows`, [own, shape]);
    const parts = this.#split(`${site.input}.parts`, rows, count);
    return projections.map(({ input: name, outputs }, index) => {
      const up = builder.input(name, "float32", ["ranks", outputs]);
      return this.#product(`${name}.delta`, parts[index] ?? rows, up);
    });
  }

  #product(name: string, left: Value, right: Value): Value {
    return this.#builder.node("FusedMatMul", name, [left, right], {
      domain: "com.microsoft",
      attributes: { alpha: float(ALPHA) },
    });
  }

  #split(name: string, value: Value, count: number): Value[] {
    if (count === 1) return [value];
    const outputs = Array.from({ length: count }, (_, index) => `${index}`);
    return this.#builder.nodes("Split", name, [value], outputs, {
      attributes: { axis: int(0), num_outputs: int(count) },
    });
  }
}
