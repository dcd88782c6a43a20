import { type BankSite, bankSites } from "../adapter-bank.ts";
import { float, int } from "../builder.ts";
import type { DecoderConfig } from "../decoder.ts";
import type { Value } from "../graph.ts";
import { type Build, MICROSOFT } from "../layers.ts";
import type { FrozenLayers, Read } from "./frozen-layers.ts";
import type { LoraBasis, Writes } from "./lora-basis.ts";

/** A low-rank update W + scale · B · A of each of the seven linear layers (LoRA, section 4.1); scale = α/r. */
export type Lora = { rank: number; scale: number };

/** A float32 input of a training graph that is trained, and the shape of its gradient. */
export type Parameter = { name: string; shape: [number, number] };

/** The output that is the loss' gradient by a parameter. */
export const gradientName = (parameter: string): string => `gradient.${parameter}`;

/** Projections that read the same values have their A below each other in one parameter: one product, and one of its gradient. */
const downName = ({ projections }: BankSite): string => `${projections.map(({ module }) => module).join("+")}.A`;
const upName = (module: string): string => `${module}.B`;

/** All matrices of an adapter, in the order of the graph: A [projections · rank, inputs], B [outputs, rank]. */
export function loraParameters(config: DecoderConfig, rank: number): Parameter[] {
  return bankSites(config).flatMap((site) => [
    { name: downName(site), shape: [site.projections.length * rank, site.inputs] satisfies [number, number] },
    ...site.projections.map(({ module, outputs }): Parameter => ({ name: upName(module), shape: [outputs, rank] })),
  ]);
}

/** Where an adapter's matrices lie in its parameters: the rows `from` to `to` of A, and all of B. */
export type LoraModule = { module: string; down: { name: string; from: number; to: number }; up: string };

/** The modules of an adapter as PEFT has them, each with an A and a B of its own. */
export function loraModules(config: DecoderConfig, rank: number): LoraModule[] {
  return bankSites(config).flatMap((site) =>
    site.projections.map(({ module }, index) => ({
      module,
      down: { name: downName(site), from: index * rank, to: (index + 1) * rank },
      up: upName(module),
    })),
  );
}

/** What a layer's projections make of their common input, by their names. @throws Error where it has none of that name */
export type Projected = (projection: string) => Value;

/** Linear layers with their low-rank updates, whose matrices are inputs of the graph. */
export class LoraLayers {
  readonly #build: Build;
  readonly #lora: Lora;
  readonly #frozen: FrozenLayers;
  readonly #basis: LoraBasis | null;
  readonly #sites: Map<string, BankSite>;

  /** @param basis that the model is in, where it is not its own */
  constructor(build: Build, lora: Lora, frozen: FrozenLayers, basis: LoraBasis | null) {
    this.#build = build;
    this.#lora = lora;
    this.#frozen = frozen;
    this.#basis = basis;
    this.#sites = new Map(bankSites(build.config).map((site) => [site.projections[0]?.module ?? "", site]));
  }

  /**
   * x · Wᵀ + b + scale · (x · Aᵀ) · Bᵀ of each projection that reads x.
   *
   * @param first the first of these projections
   */
  project(first: string, read: Read, writes: Writes, hasBias: boolean): Projected {
    const { builder } = this.#build;
    const { rank, scale } = this.#lora;
    const site = this.#sites.get(first);
    if (site === undefined) throw new Error(`No adapter has a place that begins with ${first}`);
    const { inputs, projections } = site;
    const down = builder.input(downName(site), "float32", [projections.length * rank, inputs]);
    const reader = this.#basis?.reader(first, read, down, inputs) ?? down;
    const reduced = this.#product(`${first}.reduced`, read.exact, reader, 1);
    const parts = this.#split(`${first}.parts`, reduced, projections.length);
    const updated = projections.map(({ module, outputs }, index): [string, Value] => {
      const whole = this.#frozen.product(read, { module, inputs, outputs, hasBias });
      const up = builder.input(upName(module), "float32", [outputs, rank]);
      const writer = this.#basis?.writer(module, writes, up, outputs) ?? up;
      const update = this.#product(`${module}.update`, parts[index] ?? reduced, writer, scale);
      return [module, builder.node("Add", `${module}.updated`, [whole, update])];
    });
    return (projection) => {
      const found = updated.find(([module]) => module.endsWith(`.${projection}`));
      if (found === undefined) throw new Error(`${projection} does not read what ${first} reads`);
      return found[1];
    };
  }

  /** α · a · bᵀ. */
  #product(name: string, a: Value, b: Value, alpha: number): Value {
    return this.#build.builder.node("FusedMatMul", name, [a, b], {
      domain: MICROSOFT,
      attributes: { transB: int(1), alpha: float(alpha) },
    });
  }

  #split(name: string, value: Value, count: number): Value[] {
    if (count === 1) return [value];
    const { builder } = this.#build;
    const { rank } = this.#lora;
    const sizes = builder.sharedIntegers(
      `ranks.${count}`,
      Array.from({ length: count }, () => rank),
    );
    const outputs = Array.from({ length: count }, (_, index) => String(index));
    return builder.nodes("Split", name, [value, sizes], outputs, { attributes: { axis: int(-1) } });
  }
}
