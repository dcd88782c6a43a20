import { describe, expect, test } from "vitest";
import { analyse } from "../../../../gpu-worker/steerlm/evaluate/analyse.ts";
import { calibrationOf, defaultStrengthOf } from "../../../../gpu-worker/steerlm/evaluate/calibrate.ts";
import type { Question } from "../../../../gpu-worker/steerlm/evaluate/steered-answer.ts";
import { calibratedRequest } from "../../../../schema/calibrated-steering.ts";
import { calibrationSchema } from "../../../../schema/calibration.ts";
import { OBEDIENT_WORDS, plantedAnswers, plantedEvaluation, scored, textOf } from "./planted-evaluation.ts";

/** Obeys in words, at higher strengths by more; complexity does nothing. */
const wordsOf = ({ levels: { verbosity = 2 }, strength }: Question, random: () => number) =>
  Math.round((OBEDIENT_WORDS[verbosity] ?? 0) + (60 / strength ** 2) * random());

const evaluation = plantedEvaluation({ strengths: [1, 2, 3] });
const answers = plantedAnswers(evaluation, (question, random) => textOf(wordsOf(question, random)));

describe("a calibration", { timeout: 30_000 }, () => {
  const report = analyse(evaluation, answers, new Map());
  const calibration = calibrationOf(report);

  test("says what each level gave at each strength, with intervals", () => {
    expect(calibrationSchema.parse(calibration)).toEqual(calibration);
    const { verbosity } = calibration.attributes;
    expect(verbosity).toMatchObject({ unit: "words", measured_by: "words", edges: [15, 40, 80, 140] });
    expect(verbosity?.curves.map(({ strength }) => strength)).toEqual([1, 2, 3]);
    const [, atTwo] = verbosity?.curves ?? [];
    expect(atTwo?.points.map(({ level }) => level)).toEqual([0, 1, 2, 3, 4]);
    expect(atTwo?.points[4]?.measured).toMatchObject({ n: 12 });
    expect(atTwo?.points[4]?.measured.value).toBeCloseTo(187, -1);
  });

  test("says which attributes can be steered and which cannot", () => {
    expect(calibration.attributes.verbosity?.steerable).toBe(true);
    expect(calibration.attributes.complexity).toMatchObject({ steerable: false, held: { verbosity: 2 } });
  });

  test("belongs to the weights and the adapter that were evaluated, and says how", () => {
    expect(calibration).toMatchObject({
      model: "m",
      adapter: "a",
      method: { prompts: 12, samples: 1, temperature: 0.7 },
    });
    expect(calibration.leakage).toHaveLength(3);
  });

  test("is what requests that want a length are translated by", () => {
    const { verbosity } = calibration.attributes;
    if (verbosity === undefined) throw new Error("not calibrated");
    const asked = calibratedRequest(verbosity, 3, { scale: "levels", strength: calibration.default_strength });
    expect(asked).toMatchObject({ level: 3 });
    expect(asked?.expected).toBeGreaterThan(80);
    expect(asked?.expected).toBeLessThanOrEqual(140);
  });

  test("has the strength that obeys best as its default, but none above 2.5", () => {
    expect(calibration.default_strength).toBe(2);
  });
});

describe("a calibration from two evaluations", { timeout: 30_000 }, () => {
  const report = (attribute: "verbosity" | "humor", strengths = [1, 2, 3]) => {
    const planted = { ...plantedEvaluation({ strengths }), attributes: [attribute] };
    const said = plantedAnswers(planted, (question, random) => textOf(wordsOf(question, random)));
    const humor = ({ levels, strength }: Question) => ({ "judge.humor": (levels.humor ?? 0) / strength });
    return analyse(planted, said, scored(said, humor));
  };

  test("has the attributes of both, at the default strength of the first", () => {
    const both = calibrationOf(report("verbosity"), report("humor"));
    expect(Object.keys(both.attributes).sort()).toEqual(["humor", "verbosity"]);
    expect(both.default_strength).toBe(calibrationOf(report("verbosity")).default_strength);
    expect(both.attributes.humor).toMatchObject({ steerable: true, measured_by: "judge.humor" });
  });

  test("is refused where the second knows nothing of that strength", () => {
    expect(() => calibrationOf(report("verbosity"), report("humor", [1]))).toThrow(
      "Nothing is known of humor at the default strength, 2. Evaluate it with --strengths 2 too.",
    );
  });
});

describe("the default strength", { timeout: 30_000 }, () => {
  test("is none that costs quality", () => {
    const scores = scored(answers, ({ strength }) => ({ "judge.quality": strength === 1 ? 3 : 2.5 }));
    expect(defaultStrengthOf(analyse(evaluation, answers, scores))).toBe(1);
    const harmless = scored(answers, ({ strength }) => ({ "judge.quality": strength === 1 ? 3 : 2.9 }));
    expect(defaultStrengthOf(analyse(evaluation, answers, harmless))).toBe(2);
  });

  test("is none that makes answers repeat themselves", () => {
    const loops = plantedAnswers(evaluation, (question, random) =>
      question.strength === 1 ? textOf(wordsOf(question, random)) : "again ".repeat(wordsOf(question, random)),
    );
    expect(defaultStrengthOf(analyse(evaluation, loops, new Map()))).toBe(1);
  });

  test("is the lowest where none obeys better", () => {
    const deaf = plantedAnswers(evaluation, () => textOf(30));
    expect(defaultStrengthOf(analyse(evaluation, deaf, new Map()))).toBe(1);
  });
});

describe("an evaluation of which nothing can be said", () => {
  test("gives no calibration before it is finished", () => {
    const begun = analyse(evaluation, answers.slice(0, 100), new Map());
    expect(() => calibrationOf(begun)).toThrow(/There are 100 of 372 answers\. Let the evaluation end/);
  });

  test("says what is missing", () => {
    const unjudged = plantedEvaluation({ attributes: ["humor"], held: {} });
    const report = analyse(
      unjudged,
      plantedAnswers(unjudged, () => textOf(9)),
      new Map(),
    );
    expect(() => calibrationOf(report)).toThrow(/--judge/);
  });
});
