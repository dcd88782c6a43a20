import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chatmlMessages, fillTemplate } from "../../../../gpu-worker/steerlm/benchmarks/judge-prompts.ts";
import { judgeNameOf, scoreMtBench, temperatureOf } from "../../../../gpu-worker/steerlm/benchmarks/mt-bench.ts";
import { preferenceOf, ratingOf, scorePairOf } from "../../../../gpu-worker/steerlm/benchmarks/verdict.ts";
import { percentOf, scoreVicuna } from "../../../../gpu-worker/steerlm/benchmarks/vicuna.ts";

describe("MT-Bench's rating", () => {
  it.each([
    ["Good.\n\nRating: [[8]]", 8],
    ["[[7.5]] and not [[3]]", 7.5],
    ["I would say [6], since …", 6],
    ["[1] is a source. Rating: [[9]]", 9],
    ["Rating: 9/10", null],
    ["[[ten]]", null],
    ["", null],
  ])("of %j is %s", (judgment, rating) => {
    expect(ratingOf(judgment)).toBe(rating);
  });
});

describe("Vicuna's scores", () => {
  it.each([
    ["8 9\nAssistant 2 is more detailed.", [8, 9]],
    ["8.5, 7\nBecause …", [8.5, 7]],
    ["(9, 6)", [9, 6]],
    ["First I solve it: f(2, 3) = 5.\nSo my scores are (10, 4).", [10, 4]],
    ["Both are good.", null],
    ["8 9 10\n", null],
  ])("of %j are %j", (review, scores) => {
    expect(scorePairOf(review)).toEqual(scores);
  });
});

describe("AlpacaEval's preference", () => {
  it("is the share of M in what the judge might have said of the two names", () => {
    const logprob = (token: string, probability: number) => ({ token, logprob: Math.log(probability) });
    expect(preferenceOf([logprob("M", 0.6), logprob("m", 0.2), logprob("Both", 0.1)])).toBeCloseTo(0.75, 12);
    expect(preferenceOf([logprob("m", 0.9)])).toBe(0);
    expect(preferenceOf([logprob("Neither", 0.9)])).toBeNull();
  });
});

describe("a judge's prompt", () => {
  it("takes every text as text, even one that looks like a field", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (question, answer) => {
        const filled = fillTemplate("Q: {question}\nA: {answer}", { question, answer });
        expect(filled).toBe(`Q: ${question}\nA: ${answer}`);
      }),
    );
    expect(fillTemplate("{answer_a} {answer_b}", { answer_a: "{answer_b}", answer_b: "$&" })).toBe("{answer_b} $&");
  });

  it("leaves braces that are no field of it", () => {
    expect(fillTemplate('{\n    "output": """{output_1}"""\n}', { output_1: "x" })).toBe('{\n    "output": """x"""\n}');
    expect(fillTemplate("{constructor} {x}", { x: "1" })).toBe("{constructor} 1");
  });

  it("in ChatML becomes messages, and must have all its fields", () => {
    const prompt =
      "<|im_start|>system\nYou judge.\n<|im_end|>\n<|im_start|>user\n{instruction}: {output_1}\n<|im_end|>";
    expect(chatmlMessages(prompt, { instruction: "Add", output_1: "<|im_end|>" })).toEqual([
      { role: "system", content: "You judge." },
      { role: "user", content: "Add: <|im_end|>" },
    ]);
    expect(() => chatmlMessages(prompt, { output_2: "x" })).toThrow("The prompt has no {output_2}");
    expect(chatmlMessages("Which? {output_1}", { output_1: "x" })).toEqual([{ role: "user", content: "Which? x" }]);
  });
});

describe("MT-Bench", () => {
  it("asks hot for stories, cold for facts, and judges mathematics beside a reference", () => {
    expect(["roleplay", "stem", "math", "gardening"].map(temperatureOf)).toEqual([0.7, 0.1, 0, 0.7]);
    expect(judgeNameOf("writing", 1)).toBe("single-v1");
    expect(judgeNameOf("humanities", 2)).toBe("single-v1-multi-turn");
    expect(judgeNameOf("coding", 1)).toBe("single-math-v1");
    expect(judgeNameOf("reasoning", 2)).toBe("single-math-v1-multi-turn");
  });

  it("has the totals published for GPT-4 (8.956250, 9.025000, 8.990625) from ratings that sum to its turns'", () => {
    // 80 ratings each, which sum to 716.5 and 722.
    const turn = (which: 1 | 2, total: number) =>
      Array.from({ length: 80 }, (_, index) => ({
        question_id: index,
        category: "writing",
        turn: which,
        score: index === 0 ? total - 79 * 9 : 9,
      }));
    const result = scoreMtBench([...turn(1, 716.5), ...turn(2, 722)]);
    expect(result).toMatchObject({ first_turn: 8.95625, second_turn: 9.025, average: 8.990625, unrated: 0 });
  });

  it("drops what has no rating, and averages judgments, not turns", () => {
    const one = (turn: 1 | 2, score: number | null, category = "math") => ({ question_id: 1, category, turn, score });
    const result = scoreMtBench([one(1, 2), one(1, 4), one(2, 9), one(2, null), one(2, null, "stem")]);
    expect(result).toEqual({
      judgments: 5,
      unrated: 2,
      first_turn: 3,
      second_turn: 9,
      average: 5,
      categories: { math: 5, stem: null },
    });
  });
});

describe("Vicuna's 80 questions", () => {
  it("count by the mean of both orders, in percent of the reference's sum", () => {
    const result = scoreVicuna([
      { question_id: 1, referenceFirst: { reference: 8, model: 9 }, modelFirst: { reference: 9, model: 7 } },
      { question_id: 2, referenceFirst: { reference: 5, model: 10 }, modelFirst: null },
      { question_id: 3, referenceFirst: null, modelFirst: null },
    ]);
    expect(result).toEqual({
      questions: 3,
      unscored: 1,
      reference_score: 13.5,
      model_score: 18,
      percent: (100 * 18) / 13.5,
      wins: 1,
      ties: 0,
      losses: 1,
    });
  });

  it.each([
    ["SteerLM 43B", 655.75, 629.25, 104.2],
    ["SteerLM 13B", 634, 617.75, 102.6],
    ["Guanaco 65B", 646.25, 631.25, 102.4],
    ["Vicuna 13B", 636.75, 641.75, 99.2],
    ["LLaMA 30B RLHF", 612.75, 650.25, 94.2],
    ["text-davinci-003", 599.5, 665.25, 90.1],
  ])("give the percentage that SteerLM's paper states for %s", (_, model, reference, percent) => {
    expect(percentOf(model, reference)).toBeCloseTo(percent, 1);
  });
});
