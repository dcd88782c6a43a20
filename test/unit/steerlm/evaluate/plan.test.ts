import { describe, expect, test } from "vitest";
import { seedOf, wishOf } from "../../../../gpu-worker/steerlm/evaluate/generate.ts";
import { questionsOf } from "../../../../gpu-worker/steerlm/evaluate/plan.ts";
import { questionKey } from "../../../../gpu-worker/steerlm/evaluate/steered-answer.ts";
import { plantedEvaluation } from "./planted-evaluation.ts";

describe("an evaluation", () => {
  test("asks every prompt at every level and strength, and the plain model once", () => {
    const questions = questionsOf(plantedEvaluation({}, 3));
    const of = (system: string) => questions.filter((question) => question.system === system);
    // Two attributes, five levels, two strengths, three prompts.
    expect(of("adapter")).toHaveLength(2 * 5 * 2 * 3);
    expect(of("base")).toHaveLength(3);
    expect(questions).toHaveLength(63);
    expect(new Set(questions.map(questionKey)).size).toBe(63);
  });

  test("asks for the held levels beside the one that is swept", () => {
    const lines = questionsOf(plantedEvaluation({ attributes: ["complexity"] }, 1)).filter(
      ({ system }) => system === "adapter",
    );
    expect(lines.slice(0, 5).map(({ levels }) => levels)).toEqual(
      [0, 1, 2, 3, 4].map((complexity) => ({ verbosity: 2, complexity })),
    );
  });

  test("instructs the plain model in words at no strength, and the control at the lowest", () => {
    const evaluation = plantedEvaluation({ baseline: "words", strengths: [1.5, 2] }, 1);
    const withControl = { ...evaluation, answering: { ...evaluation.answering, control: "c" } };
    const strengths = (system: string) => [
      ...new Set(questionsOf(withControl).flatMap((question) => (question.system === system ? question.strength : []))),
    ];
    expect(strengths("words")).toEqual([1]);
    expect(strengths("control")).toEqual([1.5]);
    expect(strengths("adapter")).toEqual([1.5, 2]);
  });

  test("asks the same where two sweeps ask for the same label line, once", () => {
    const evaluation = plantedEvaluation({ held: {}, strengths: [1], combinations: [{ verbosity: 3 }] }, 2);
    expect(questionsOf(evaluation).filter(({ levels }) => levels.verbosity === 3)).toHaveLength(2);
  });

  test("may grow without any answer or seed changing", () => {
    const small = questionsOf(plantedEvaluation({ strengths: [1] }, 2));
    const large = new Set(questionsOf(plantedEvaluation({ strengths: [1, 2], samples: 2 }, 5)).map(questionKey));
    for (const question of small) expect(large).toContain(questionKey(question));
    expect(new Set(small.map((question) => seedOf(question, 0))).size).toBe(small.length);
    expect(small.map((question) => seedOf(question, 0))).toEqual(small.map((question) => seedOf({ ...question }, 0)));
    expect(small.map((question) => seedOf(question, 0))).not.toEqual(small.map((question) => seedOf(question, 1)));
  });

  test("steers away from the held levels alone where that is asked for", () => {
    const questions = questionsOf(plantedEvaluation({ attributes: ["complexity"], against: "held" }, 1));
    const against = (strength: number) =>
      questions.find((q) => q.system === "adapter" && q.strength === strength)?.against;
    expect(against(2)).toEqual({ verbosity: 2 });
    expect(against(1)).toEqual({});
  });

  test("steers away from the opposite level where that is asked for, the held ones as they are", () => {
    const questions = questionsOf(plantedEvaluation({ attributes: ["complexity"], against: "opposite" }, 1));
    const strong = questions.filter((q) => q.system === "adapter" && q.strength === 2);
    expect(strong.map(({ levels, against }) => [levels.complexity, against])).toEqual(
      [0, 1, 2, 3, 4].map((level) => [level, { verbosity: 2, complexity: 4 - level }]),
    );
  });

  test("steers each system by its own method", () => {
    const question = { strength: 1, levels: { verbosity: 1 as const }, against: {}, prompt: "p", sample: 0 };
    expect(wishOf({ ...question, system: "adapter" }, 0).method).toBe("label_line");
    expect(wishOf({ ...question, system: "control" }, 0).method).toBe("label_line");
    expect(wishOf({ ...question, system: "words" }, 0).method).toBe("words");
    expect(wishOf({ ...question, system: "base", levels: {} }, 0).method).toBe("none");
  });
});
