import { type Attribute, type AttributeLevels, LEVELS, type Level, oppositeOf } from "../../../schema/attributes.ts";
import type { Evaluation } from "./evaluation.ts";
import { type Question, questionKey, SYSTEMS, type System } from "./steered-answer.ts";

/** An attribute swept over its levels by one system at one strength. */
export type Sweep = { system: System; strength: number; attribute: Attribute; held: AttributeLevels };

/** The plain model takes no part in guidance, and the control only has to show that nothing moves. */
const strengthsOf = (system: System, { strengths }: Evaluation): number[] =>
  system === "adapter" ? strengths : [Math.min(...strengths)];

const isSteered = (system: System, { baseline, answering }: Evaluation): boolean =>
  system === "adapter" ||
  (system === "words" && baseline === "words") ||
  (system === "control" && answering.control !== null);

/** Every sweep of an evaluation, system by system. */
export function sweepsOf(evaluation: Evaluation): Sweep[] {
  return SYSTEMS.filter((system) => isSteered(system, evaluation)).flatMap((system) =>
    strengthsOf(system, evaluation).flatMap((strength) =>
      evaluation.attributes.map((attribute) => ({
        system,
        // Instructions in words have no strength.
        strength: system === "words" ? 1 : strength,
        attribute,
        held: evaluation.held[attribute] ?? {},
      })),
    ),
  );
}

/** What is asked for of every prompt. */
export type LabelLine = Omit<Question, "prompt" | "sample">;

/** The label line of a sweep with its attribute at a level. */
export const labelLineOf = (
  { system, strength, attribute, held }: Sweep,
  level: Level,
  { against }: Evaluation,
): LabelLine => {
  const levels = { ...held, [attribute]: level };
  const contrast = { unsteered: {}, held, opposite: oppositeOf(levels, [attribute]) }[against];
  return { system, strength, levels, against: strength > 1 ? contrast : {} };
};

/** The plain model, asked for nothing. */
export const UNSTEERED: LabelLine = { system: "base", strength: 1, levels: {}, against: {} };

/** Label lines that combine levels, at the lowest strength. */
export const combinationsOf = ({ combinations, strengths }: Evaluation): LabelLine[] =>
  combinations.map((levels) => ({ system: "adapter", strength: Math.min(...strengths), levels, against: {} }));

/**
 * Every answer of an evaluation, each once: system by system, so that one engine is loaded at a time, and prompt by prompt within one, so
 * that an interrupted run has whole prompts and the engine reads each of them once.
 */
export function questionsOf(evaluation: Evaluation): Question[] {
  const lines = [
    UNSTEERED,
    ...sweepsOf(evaluation).flatMap((sweep) => LEVELS.map((level) => labelLineOf(sweep, level, evaluation))),
    ...combinationsOf(evaluation),
  ];
  const questions = SYSTEMS.flatMap((system) =>
    Array.from({ length: evaluation.samples }, (_, sample) =>
      evaluation.prompts.flatMap(({ id: prompt }) =>
        lines.filter((line) => line.system === system).map((line): Question => ({ ...line, prompt, sample })),
      ),
    ).flat(),
  );
  return [...new Map(questions.map((question) => [questionKey(question), question])).values()];
}
