import { seededRandom } from "../../../../gpu-worker/engine/random.ts";
import type { Evaluation } from "../../../../gpu-worker/steerlm/evaluate/evaluation.ts";
import type { Measures } from "../../../../gpu-worker/steerlm/evaluate/measures.ts";
import { questionsOf } from "../../../../gpu-worker/steerlm/evaluate/plan.ts";
import {
  type Question,
  questionKey,
  type SteeredAnswer,
} from "../../../../gpu-worker/steerlm/evaluate/steered-answer.ts";

/** An evaluation of verbosity, and of complexity with verbosity held, over so many prompts. */
export function plantedEvaluation(changes: Partial<Evaluation> = {}, prompts = 12): Evaluation {
  return {
    version: 1,
    answering: { model: "m", adapter: "a", control: null, temperature: 0.7, min_p: 0.05, max_tokens: 400, seed: 0 },
    profile: {
      template: "chatml",
      attributes: [
        { name: "complexity", default: null },
        { name: "verbosity", default: 2 },
      ],
    },
    scale: { verbosity: [15, 40, 80, 140], complexity: [6, 9, 11.5, 14] },
    attributes: ["verbosity", "complexity"],
    held: { complexity: { verbosity: 2 } },
    strengths: [1, 2],
    against: "unsteered",
    baseline: "none",
    combinations: [],
    samples: 1,
    scorers: {},
    prompts: Array.from({ length: prompts }, (_, index) => ({ id: `p${index}`, text: `Question ${index}?` })),
    ...changes,
  };
}

/** Words of an answer that obeys: in the middle of each level's range, a little different for each prompt. */
export const OBEDIENT_WORDS = [8, 28, 60, 112, 180] as const;

const letter = (index: number) => String.fromCharCode(97 + (index % 26));

const SENTENCE = 4;

/** So many words in short sentences, all different; longer ones at a higher `complexity`. */
export function textOf(words: number, complexity = 1): string {
  const wordAt = (index: number) => "a".repeat(1 + 2 * complexity) + letter(Math.floor(index / 26)) + letter(index);
  const stopAt = (index: number) => ((index + 1) % SENTENCE === 0 ? "." : "");
  return Array.from({ length: words }, (_, index) => wordAt(index) + stopAt(index)).join(" ");
}

type World = (question: Question, random: () => number) => string;

/** The answers that a model of this kind would give to every question of an evaluation. */
export function plantedAnswers(evaluation: Evaluation, world: World): SteeredAnswer[] {
  const random = seededRandom(1);
  return questionsOf(evaluation).map((question) => {
    const text = world(question, random);
    return { ...question, text, finish: "stop", tokens: text.length };
  });
}

/** Scores by what `of` says of an answer. */
export const scored = (answers: readonly SteeredAnswer[], of: (answer: SteeredAnswer) => Measures) =>
  new Map(answers.map((answer) => [questionKey(answer), of(answer)]));
