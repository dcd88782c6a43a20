import { describe, expect, test } from "vitest";
import { agreements, type ScoredAnswer } from "../../../../gpu-worker/steerlm/apm/agreement.ts";
import { reportText } from "../../../../gpu-worker/steerlm/apm/evaluation-report.ts";
import { AnswerPairs, pairAccuracies, type ScoredPair } from "../../../../gpu-worker/steerlm/apm/pairwise.ts";
import { agreementsOf, validationOf } from "../../../../gpu-worker/steerlm/apm/validation.ts";
import { seededDraws } from "../../../../gpu-worker/steerlm/training/seeded-draws.ts";

const scored = (index: number, more: Partial<ScoredAnswer> = {}): ScoredAnswer => ({
  source: "oasst",
  tree: `t${Math.floor(index / 2)}`,
  labels: { quality: index % 5 },
  predicted: { quality: (index % 5) / 2 + 1 },
  byLength: { quality: index % 3 },
  ...more,
});

describe("agreement with labels", () => {
  const answers = Array.from({ length: 60 }, (_, index) => scored(index));

  test("is both correlations with intervals by tree, against what length alone suggests", () => {
    const [found] = agreements(answers, seededDraws);
    expect(found).toMatchObject({ source: "oasst", attribute: "quality", answers: 60, trees: 30 });
    expect(found?.model.pearson.value).toBeCloseTo(1, 9);
    expect(found?.model.spearman.value).toBeCloseTo(1, 9);
    const length = found?.length.pearson;
    expect(length?.interval?.low).toBeLessThan(length?.value ?? 0);
    expect(length?.interval?.high).toBeGreaterThan(length?.value ?? 0);
    expect(found?.gain.value).toBeCloseTo(1 - (length?.value ?? 0), 9);
  });

  test("is told source by source, for a difference between sources is no merit", () => {
    const rude = Array.from({ length: 20 }, (_, index) =>
      scored(index, { source: "davidson", labels: { toxicity: 4 }, predicted: { toxicity: 3 } }),
    );
    const kind = rude.map((answer) => ({
      ...answer,
      source: "oasst",
      labels: { toxicity: 0 },
      predicted: { toxicity: 1 },
    }));
    expect(
      agreements([...rude, ...kind], seededDraws).map(({ source, model }) => [source, model.pearson.value]),
    ).toEqual([
      ["davidson", null],
      ["oasst", null],
    ]);
  });

  test("is shown as a table", () => {
    const report = { model: { folds: 5 }, agreement: agreements(answers, seededDraws), pairs: [] };
    expect(reportText(report)).toMatch(/^oasst quality\s+60\s+30\s+\d\.\d\d\s+1\.00 \[1\.00, 1\.00\]/m);
  });
});

describe("accuracy on pairs", () => {
  const side = (id: number, index: number, rank: number) => ({
    ...{ id: `${id}/${index}`, source: "pandalm", pair: String(id) },
    turns: [
      { role: "user" as const, text: `Q${id}` },
      { role: "assistant" as const, text: `A${index}`, rank },
    ],
  });

  test("knows the preferred side, whichever comes first, and pairs that nobody decided", () => {
    const pairs = new AnswerPairs();
    for (const conversation of [
      side(1, 0, 0),
      side(2, 0, 1),
      side(1, 1, 1),
      side(2, 1, 0),
      side(3, 0, 0),
      side(3, 1, 0),
    ]) {
      pairs.add(conversation);
    }
    expect(pairs.pairs.map(({ tree, preferred }) => [tree, preferred])).toEqual([
      ["Q1", 0],
      ["Q2", 1],
      ["Q3", null],
    ]);
  });

  test("counts half where both answers are as good, and leaves out the undecided", () => {
    const pair = (tree: string, preferred: 0 | 1 | null, qualities: [number, number]): ScoredPair => ({
      ...{ tree, preferred, words: [10, 20] },
      predicted: [
        { quality: qualities[0], helpfulness: 1, toxicity: 2 },
        { quality: qualities[1], helpfulness: 1, toxicity: 3 },
      ],
    });
    const pairs = [pair("a", 0, [3, 1]), pair("b", 1, [3, 1]), pair("c", 0, [2, 2]), pair("d", null, [1, 2])];
    const accuracies = pairAccuracies("pandalm", pairs, ["quality", "helpfulness", "toxicity"], seededDraws);
    expect(accuracies.map(({ scale, accuracy }) => [scale, accuracy.value])).toEqual([
      ["helpful", 0.5],
      ["harmless", 2 / 3],
      ["length", 1 / 3],
    ]);
    expect(accuracies[0]).toMatchObject({ pairs: 3, undecided: 1 });
  });

  test("is not computed by attributes that the model does not predict", () => {
    const scales = pairAccuracies("hh", [], ["toxicity"], seededDraws).map(({ scale }) => scale);
    expect(scales).toEqual(["harmless", "length"]);
  });
});

describe("validation", () => {
  test("is the mean over all labels there are, and by attribute", () => {
    const rows = [{ targets: [1, null] }, { targets: [3, 2] }];
    const predictions = [
      [1, 9],
      [1, 3],
    ];
    const validation = validationOf(agreementsOf(rows, predictions, ["quality", "humor"]), rows.length);
    expect(validation).toEqual({
      answers: 2,
      error: 5 / 3,
      attributes: { quality: { error: 2, pearson: null }, humor: { error: 1, pearson: null } },
    });
  });
});
