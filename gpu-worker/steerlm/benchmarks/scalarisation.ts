import { ATTRIBUTES, type Attribute, attributeSchema } from "../../../schema/attributes.ts";

/** How much each attribute counts for an answer. */
export type Weights = Partial<Record<Attribute, number>>;

/** Weights that were published: HelpSteer2's goodness (Wang et al. 2024), and those of NVIDIA's two reward models on RewardBench. */
export const NAMED_WEIGHTS: ReadonlyMap<string, Weights> = new Map([
  ["helpsteer2-goodness", { helpfulness: 0.65, correctness: 0.8, coherence: 0.45 }],
  ["helpsteer2-70b", { helpfulness: 0.65, correctness: 0.8, coherence: 0.45, complexity: 0.55, verbosity: -0.4 }],
  ["helpsteer2-340b", { helpfulness: 0.3, correctness: 0.74, coherence: 0.46, complexity: 0.47, verbosity: -0.33 }],
]);

/**
 * Reads `quality=1,verbosity=-0.3` or a published name.
 *
 * @throws Error where it is neither
 */
export function parseWeights(text: string): Weights {
  const named = NAMED_WEIGHTS.get(text);
  if (named !== undefined) return named;
  const weights: Weights = {};
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.split("=");
    const attribute = attributeSchema.safeParse(name.trim());
    const weight = Number(value);
    if (!attribute.success || value.trim() === "" || !Number.isFinite(weight)) {
      throw new Error(
        `${part} is not attribute=weight, such as quality=1, of ${ATTRIBUTES.join(", ")}; or name one of ${[...NAMED_WEIGHTS.keys()].join(", ")}.`,
      );
    }
    weights[attribute.data] = weight;
  }
  return weights;
}

/**
 * One number of the predicted attributes: their weighted sum.
 *
 * @throws Error where an attribute that counts was not predicted
 */
export function scalarise(predicted: Partial<Record<Attribute, number>>, weights: Weights): number {
  let sum = 0;
  for (const name of ATTRIBUTES) {
    const weight = weights[name];
    if (weight === undefined || weight === 0) continue;
    const value = predicted[name];
    if (value === undefined) {
      const known = ATTRIBUTES.filter((attribute) => predicted[attribute] !== undefined);
      throw new Error(
        `${name} was not predicted; there are ${known.join(", ")}. Give weights of those with --weights.`,
      );
    }
    sum += weight * value;
  }
  return sum;
}
