import { seededRandom } from "../../../gpu-worker/engine/random.ts";
import type { Precision } from "../../../gpu-worker/graph/precision.ts";
import type { Lora } from "../../../gpu-worker/graph/training/lora.ts";
import type { ParameterSet } from "../../../gpu-worker/runtime/parameter-set.ts";
import type { TrainingStep } from "../../../gpu-worker/runtime/training-files.ts";
import { initialiseParameters } from "../../../gpu-worker/steerlm/optimiser/initial-parameters.ts";

/** What both sides train, on the seven linear layers. */
export const LORA: Lora = { rank: 32, scale: 2 };

export const trainingStep = (precision: Precision) =>
  ({ kind: "reply", purpose: "train", lora: LORA, precision }) satisfies TrainingStep;

/** What an adapter of zeros would not tell: whether the two sides compute the same of it. Small enough to leave the model a model. */
const UP_BOUND = 0.01;

/** An adapter in its first steps, the same on both sides: B is no longer zero. */
export function fillInitialAdapter(parameters: ParameterSet): void {
  const random = seededRandom(1);
  initialiseParameters(parameters, random);
  for (const { name, values } of parameters.parts) {
    if (!name.endsWith(".B")) continue;
    for (let index = 0; index < values.length; index++) values[index] = (2 * random() - 1) * UP_BOUND;
  }
}
