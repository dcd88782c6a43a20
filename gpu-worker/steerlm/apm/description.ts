import type { AttributeModelDescription } from "../../model/attribute-model.ts";
import type { AttributeFacts } from "./training-facts.ts";
import type { TrainingSet } from "./training-set.ts";
import type { Spread, Validation } from "./validation.ts";

/** The description of a model as its directory holds it. */
export function descriptionOf(
  fixed: Omit<AttributeModelDescription, "version" | "attributes" | "training">,
  { set, facts, seed }: { set: TrainingSet; facts: readonly AttributeFacts[]; seed: string },
  { spreads, step, validation }: { spreads: readonly Spread[]; step: number; validation: Validation | null },
): AttributeModelDescription {
  const answers: AttributeModelDescription["training"]["answers"] = {};
  for (const { source } of set.train) answers[source] = (answers[source] ?? 0) + 1;
  return {
    version: 2,
    attributes: facts.map(({ name, mean, byLength }, index) => ({
      name,
      mean,
      by_length: byLength,
      spread: spreads[index] ?? null,
    })),
    ...fixed,
    training: { seed, step, answers, validation },
  };
}
