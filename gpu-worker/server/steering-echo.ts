import type { EffectiveSteering } from "../../schema/steering.ts";
import type { AnswerHead } from "./answer-head.ts";
import type { Measurement } from "./choice-measurements.ts";

/** The steering echo of an answer as a whole, and that of each of its choices; the one that says nothing is empty. */
type SteeringEcho = { answer: { steer?: object }; choice: (index: number) => { steer?: object } };

/**
 * How an answer says that it was steered: as a whole, or, where its choices differ, with each. What was measured, and what moderation says,
 * stands with the echo of the only choice, and of one among several with the choice.
 *
 * @param measurements of each choice; `null` where that was not asked for, or is not known yet
 */
export function steeringEcho(
  { fanOut, steering }: Pick<AnswerHead, "fanOut" | "steering">,
  measurements: readonly Measurement[] | null,
): SteeringEcho {
  const answer = fanOut === null ? { steer: steering } : {};
  if (measurements === null) {
    return { answer, choice: (index) => (fanOut?.[index] === undefined ? {} : { steer: fanOut[index] }) };
  }
  const [only, ...others] = measurements;
  if (fanOut === null && only !== undefined && others.length === 0) {
    return { answer: { steer: withMeasured(steering, only) }, choice: () => ({}) };
  }
  const choice = (index: number) => {
    const measurement = measurements[index];
    return measurement === undefined ? {} : { steer: withMeasured(fanOut?.[index], measurement) };
  };
  return { answer, choice };
}

/** Of several notes each is kept. */
function withMeasured(steering: EffectiveSteering | undefined, measurement: Measurement) {
  const { note: reason, ...read } = measurement;
  if (reason === undefined) return { ...steering, ...read };
  const notes = [steering?.note, reason].filter((note) => note != null);
  return { ...steering, ...read, note: notes.join(" ") };
}
