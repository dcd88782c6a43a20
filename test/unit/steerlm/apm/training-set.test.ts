import { describe, expect, test } from "vitest";
import { type LabelledAnswer, LabelledAnswers } from "../../../../gpu-worker/steerlm/apm/judged-answers.ts";
import { beyondLength, trainingFacts } from "../../../../gpu-worker/steerlm/apm/training-facts.ts";
import { setHash, trainingSetOf } from "../../../../gpu-worker/steerlm/apm/training-set.ts";

const answer = (index: number, more: Partial<LabelledAnswer> = {}): LabelledAnswer => ({
  id: `a${index}`,
  source: "oasst",
  tree: `t${Math.floor(index / 4)}`,
  labels: { quality: index % 5 },
  messages: [],
  answer: "word ".repeat(index + 1),
  ...more,
});

const answers = (count: number, more: Partial<LabelledAnswer> = {}) =>
  Array.from({ length: count }, (_, index) => answer(index, more));

const OPTIONS = { seed: "0", measured: [], validation: 0.25, validationRows: 1000 };
const tokenise = ({ id }: LabelledAnswer) => [id.length, 1];

describe("labelled answers", () => {
  test("are those with labels, each with all that came before it", () => {
    const collected = new LabelledAnswers();
    collected.add({
      ...{ id: "c", source: "attune", system: "Be kind." },
      turns: [
        { role: "user", text: "Hi" },
        { role: "assistant", text: "Yo" },
        { role: "user", text: "Bye" },
        { role: "assistant", text: "See you", labels: { humor: 1.5 } },
      ],
    });
    expect(collected.answers).toEqual([
      {
        ...{ id: "attune c#3", source: "attune", tree: "Hi", labels: { humor: 1.5 }, answer: "See you" },
        messages: [
          { role: "system", content: "Be kind." },
          { role: "user", content: "Hi" },
          { role: "assistant", content: "Yo" },
          { role: "user", content: "Bye" },
        ],
      },
    ]);
  });

  test("count once where several threads of a tree share them", () => {
    const collected = new LabelledAnswers();
    for (const id of ["x", "y"]) {
      const turn = (name: string) => ({ role: "assistant" as const, text: name, id: name, labels: { quality: 2 } });
      collected.add({ id, source: "oasst", tree: "t", turns: [{ role: "user", text: "Q" }, turn("shared"), turn(id)] });
    }
    expect(collected.answers.map(({ answer: text }) => text)).toEqual(["shared", "x", "y"]);
  });
});

describe("a training set", () => {
  test("holds out whole trees, about as many as were asked for", () => {
    const { train, validation } = trainingSetOf(answers(800), OPTIONS, tokenise);
    const trees = new Set(train.map(({ tree }) => tree));
    expect(validation.filter(({ tree }) => trees.has(tree))).toEqual([]);
    expect(validation.length / 800).toBeCloseTo(0.25, 1);
    expect(train.length + validation.length).toBe(800);
  });

  test("holds out others by another seed, and none where none are asked for", () => {
    const ids = (seed: string) =>
      trainingSetOf(answers(200), { ...OPTIONS, seed }, tokenise).validation.map(({ id }) => id);
    expect(ids("0")).toEqual(ids("0"));
    expect(ids("1")).not.toEqual(ids("0"));
    expect(trainingSetOf(answers(200), { ...OPTIONS, validation: 0 }, tokenise).validation).toEqual([]);
  });

  test("reads no more held-out answers than are allowed, each source's by its share of training", () => {
    const rows = [
      ...answers(400),
      ...answers(4000, { source: "davidson" }).map((one, index) => ({ ...one, id: `d${index}` })),
    ];
    const sourceWeights = new Map([["davidson", 0.25]]);
    const { validation } = trainingSetOf(rows, { ...OPTIONS, validationRows: 50, sourceWeights }, tokenise);
    expect(validation).toHaveLength(50);
    expect(validation.filter(({ source }) => source === "davidson")).toHaveLength(10);
  });

  test("has a target for each attribute that occurs, and nothing where nobody judged", () => {
    const rows = [answer(0), answer(4, { labels: { toxicity: 1 } })];
    const { attributes, train } = trainingSetOf(rows, { ...OPTIONS, validation: 0 }, tokenise);
    expect(attributes).toEqual(["quality", "toxicity"]);
    expect(train.map(({ targets }) => targets)).toEqual([
      [0, null],
      [null, 1],
    ]);
  });

  test("never learns what is measured", () => {
    const rows = [answer(0, { labels: { quality: 2, verbosity: 3 } }), answer(4, { labels: { verbosity: 1 } })];
    const options = { ...OPTIONS, validation: 0, measured: ["complexity", "verbosity"] as const };
    const { attributes, train } = trainingSetOf(rows, options, tokenise);
    expect(attributes).toEqual(["quality"]);
    expect(train).toHaveLength(1);
  });

  test("says what to do where there is nothing to learn, or a weight has no source", () => {
    expect(() => trainingSetOf([], OPTIONS, tokenise)).toThrow("No answer of these files has a label");
    const sourceWeights = new Map([["davidsn", 1]]);
    expect(() => trainingSetOf(answers(40), { ...OPTIONS, sourceWeights }, tokenise)).toThrow(
      "--source-weight names davidsn, but the labels are from oasst",
    );
  });

  test("is named by what it holds", () => {
    const hash = (rows: LabelledAnswer[]) => setHash(trainingSetOf(rows, OPTIONS, tokenise));
    expect(hash(answers(40))).toBe(hash(answers(40)));
    expect(hash(answers(40, { labels: { quality: 1 } }))).not.toBe(hash(answers(40)));
    expect(hash(answers(41))).not.toBe(hash(answers(40)));
  });
});

describe("what is known before training", () => {
  test("is each attribute's mean, and how labels go with length", () => {
    const labels = (words: number) => ({ quality: 1 + Math.log(1 + words) / 2 });
    const rows = answers(40).map((one, index) => ({ ...one, labels: labels(index + 1) }));
    const [facts] = trainingFacts(trainingSetOf(rows, { ...OPTIONS, validation: 0 }, tokenise));
    expect(facts?.byLength.slope).toBeCloseTo(0.5, 6);
    expect(facts?.byLength.intercept).toBeCloseTo(1, 6);
  });

  test("goes by length within each source, whatever the sources differ in", () => {
    const rows = [20, 2].flatMap((least, place) =>
      answers(10).map((one, index) => ({
        ...one,
        id: `${place}/${index}`,
        source: place === 0 ? "oasst" : "davidson",
        answer: "word ".repeat(least + index),
        labels: { toxicity: 2 * place - Math.log(1 + least + index) / 10 },
      })),
    );
    const set = trainingSetOf(rows, { ...OPTIONS, validation: 0 }, tokenise);
    const facts = trainingFacts(set);
    expect(facts[0]?.byLength.slope).toBeCloseTo(-0.1, 6);
    // What is left for the model to learn is the difference of the sources.
    const left = beyondLength(set.train, facts).map(({ source, targets }) => `${source} ${targets[0]?.toFixed(6)}`);
    expect(new Set(left)).toEqual(new Set(["oasst -1.000000", "davidson 1.000000"]));
  });

  test("counts a source as often as it is drawn from", () => {
    const rows = [
      ...answers(10, { labels: { toxicity: 0 } }),
      ...answers(990, { source: "davidson", labels: { toxicity: 2 } }),
    ];
    const set = trainingSetOf(rows, { ...OPTIONS, validation: 0 }, tokenise);
    expect(trainingFacts(set)[0]?.mean).toBeCloseTo(1.98, 6);
    expect(
      trainingFacts(
        set,
        new Map([
          ["oasst", 1],
          ["davidson", 1],
        ]),
      )[0]?.mean,
    ).toBeCloseTo(1, 6);
  });
});
