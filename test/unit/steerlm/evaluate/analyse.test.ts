import { describe, expect, test } from "vitest";
import { analyse } from "../../../../gpu-worker/steerlm/evaluate/analyse.ts";
import { reportSchema } from "../../../../gpu-worker/steerlm/evaluate/report-schema.ts";
import { responseOf } from "../../../../gpu-worker/steerlm/evaluate/report-text.ts";
import { OBEDIENT_WORDS, plantedAnswers, plantedEvaluation, scored, textOf } from "./planted-evaluation.ts";

const NONE = new Map();

describe("a report", { timeout: 30_000 }, () => {
  test("of a model that obeys says so by every measure of obedience", () => {
    const evaluation = plantedEvaluation();
    const answers = plantedAnswers(evaluation, ({ levels: { verbosity = 2, complexity } }, random) =>
      textOf((OBEDIENT_WORDS[verbosity] ?? 0) + Math.floor(3 * random()), complexity),
    );
    const report = analyse(evaluation, answers, NONE);
    expect(reportSchema.parse(report)).toEqual(report);
    const [verbosity] = report.sweeps;
    expect(verbosity).toMatchObject({ system: "adapter", strength: 1, attribute: "verbosity", deciding: "words" });
    expect(verbosity?.measures.words).toMatchObject({
      rho: { value: 1, low: 1, high: 1, n: 12 },
      rising_pairs: { value: 1 },
      rising_throughout: { value: 1 },
    });
    expect(verbosity?.accuracy).toMatchObject({
      slope: { value: 1 },
      mean_absolute_error: { value: 0 },
      within_one: { value: 1 },
    });
    expect(verbosity?.measures.words?.range?.value).toBeCloseTo(172, -1);
    const complexity = report.sweeps.find(({ attribute }) => attribute === "complexity");
    expect(complexity).toMatchObject({ held: { verbosity: 2 }, deciding: "coleman_liau" });
    expect(complexity?.measures.coleman_liau?.rho?.value).toBe(1);
    expect(report.leakage[0]?.diagonal_largest).toEqual([true, true]);
  });

  test("of a model that answers at random shows no correlation, and an interval about 0", () => {
    const evaluation = plantedEvaluation({ strengths: [1] }, 40);
    const answers = plantedAnswers(evaluation, (_, random) => textOf(10 + Math.floor(100 * random())));
    const rho = analyse(evaluation, answers, NONE).sweeps[0]?.measures.words?.rho;
    expect(Math.abs(rho?.value ?? 1)).toBeLessThan(0.25);
    expect(rho?.low).toBeLessThan(0);
    expect(rho?.high).toBeGreaterThan(0);
  });

  test("of a model that always says the same shows 0, not nothing", () => {
    const evaluation = plantedEvaluation();
    const report = analyse(
      evaluation,
      plantedAnswers(evaluation, () => textOf(20)),
      NONE,
    );
    expect(report.sweeps[0]?.measures.words?.rho).toMatchObject({ value: 0, low: 0, high: 0 });
  });

  test("shows that asking for one attribute moved another more", () => {
    const evaluation = plantedEvaluation({ attributes: ["complexity"], held: {}, strengths: [1] });
    const answers = plantedAnswers(evaluation, ({ levels: { complexity = 2 } }) => textOf(OBEDIENT_WORDS[complexity]));
    const [leakage] = analyse(evaluation, answers, NONE).leakage;
    expect(leakage).toMatchObject({ rows: ["complexity"], columns: ["complexity", "verbosity"] });
    expect(leakage?.slope[0]?.[1]).toBeCloseTo(1);
    expect(leakage?.diagonal_largest).toEqual([false]);
  });

  test("says by whom judged attributes were judged: by the second model where there is one", () => {
    const evaluation = plantedEvaluation({ attributes: ["toxicity"], held: {}, strengths: [1], combinations: [] });
    const answers = plantedAnswers(evaluation, () => textOf(20));
    const reads = (toxicity: number) => ({ "apm.toxicity": 0.1, "judge.toxicity": toxicity, "judge.quality": 3 });
    const scores = scored(answers, ({ system, levels }) =>
      reads(system === "base" ? 1.5 : 0.5 + (levels.toxicity ?? 0)),
    );
    const report = analyse(evaluation, answers, scores);
    const [sweep] = report.sweeps;
    expect(sweep?.deciding).toBe("judge.toxicity");
    expect(sweep?.measures["judge.toxicity"]?.rho?.value).toBe(1);
    expect(sweep?.against_base[0]?.["judge.toxicity"]).toMatchObject({ value: -1, n: 12 });
    expect(report.quality_measure).toBe("judge.quality");
    const [unjudged] = analyse(evaluation, answers, NONE).sweeps;
    expect(unjudged).toMatchObject({ deciding: null, accuracy: null });
    expect(unjudged && responseOf(unjudged)).toBeUndefined();
  });

  test("compares levels that were asked for together with each alone", () => {
    const evaluation = plantedEvaluation({ held: {}, strengths: [1], combinations: [{ verbosity: 0, complexity: 4 }] });
    // Only one of two levels is obeyed.
    const answers = plantedAnswers(evaluation, ({ levels: { verbosity = 2, complexity } }) =>
      textOf(OBEDIENT_WORDS[complexity === undefined ? verbosity : 2], complexity),
    );
    const [combination] = analyse(evaluation, answers, NONE).combinations;
    const words = combination?.attributes.find(({ attribute }) => attribute === "verbosity");
    expect(words).toMatchObject({ asked: 0, measured: { value: 60 }, alone: { value: 8 }, within_one: { value: 0 } });
  });

  test("is of what is there where the run was interrupted, and says how much that is", () => {
    const evaluation = plantedEvaluation();
    const answers = plantedAnswers(evaluation, ({ levels }) => textOf(OBEDIENT_WORDS[levels.verbosity ?? 2]));
    const some = answers.filter(({ prompt, strength }) => strength === 1 && ["p0", "p1", "p2"].includes(prompt));
    const report = analyse(evaluation, some, NONE);
    expect(report).toMatchObject({ answers: some.length, asked: answers.length, prompts: 12 });
    expect(report.sweeps[0]?.measures.words?.rho).toMatchObject({ value: 1, n: 3 });
    const untouched = report.sweeps.find(({ strength }) => strength === 2);
    expect(untouched?.measures).toEqual({});
  });

  test("leaves out answers that are no longer asked for", () => {
    const wide = plantedEvaluation();
    const answers = plantedAnswers(wide, ({ levels }) => textOf(OBEDIENT_WORDS[levels.verbosity ?? 2]));
    const narrow = plantedEvaluation({ strengths: [1] }, 4);
    const report = analyse(narrow, answers, NONE);
    expect(report.answers).toBe(report.asked);
    expect(report.sweeps[0]?.measures.words?.rho?.n).toBe(4);
  });
});
