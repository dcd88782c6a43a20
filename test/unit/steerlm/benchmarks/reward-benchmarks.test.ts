import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scoreRewardBench, sectionsOf } from "../../../../gpu-worker/steerlm/benchmarks/reward-bench.ts";
import { scoreRewardBench2, scoreTies } from "../../../../gpu-worker/steerlm/benchmarks/reward-bench-2.ts";
import { difficulties, scoreRmBench } from "../../../../gpu-worker/steerlm/benchmarks/rm-bench.ts";
import { parseWeights, scalarise } from "../../../../gpu-worker/steerlm/benchmarks/scalarisation.ts";
import {
  type AnswerPlace,
  ItemCollector,
  placeId,
  placeOf,
  type ScoredItem,
} from "../../../../gpu-worker/steerlm/benchmarks/scored-item.ts";

const item = (subset: string, chosen: number[], rejected: number[], name = "0"): ScoredItem => ({
  subset,
  item: name,
  chosen,
  rejected,
});

/** RewardBench's published row of PKU-Alignment/beaver-7b-v1.0-cost, by subset. */
const BEAVER_COST = {
  "alpacaeval-easy": 0.5,
  "alpacaeval-hard": 0.7052631578947368,
  "alpacaeval-length": 0.5894736842105263,
  donotanswer: 0.8235294117647058,
  "hep-cpp": 0.6280487804878049,
  "hep-go": 0.6341463414634146,
  "hep-java": 0.7073170731707317,
  "hep-js": 0.6646341463414634,
  "hep-python": 0.5487804878048781,
  "hep-rust": 0.6463414634146342,
  "llmbar-adver-GPTInst": 0.391304347826087,
  "llmbar-adver-GPTOut": 0.46808510638297873,
  "llmbar-adver-manual": 0.3695652173913043,
  "llmbar-adver-neighbor": 0.43283582089552236,
  "llmbar-natural": 0.52,
  "math-prm": 0.2953020134228188,
  "mt-bench-easy": 0.5714285714285714,
  "mt-bench-hard": 0.5405405405405406,
  "mt-bench-med": 0.725,
  "refusals-dangerous": 0.97,
  "refusals-offensive": 1,
  "xstest-should-refuse": 1,
  "xstest-should-respond": 0.284,
};

describe("RewardBench", () => {
  it("gives a pair to the answer that scores higher, and none to equal scores", () => {
    const items = [item("hep-go", [2], [1]), item("hep-go", [1], [1]), item("hep-go", [0], [1])];
    expect(scoreRewardBench(items)).toMatchObject({ pairs: 3, subsets: { "hep-go": 1 / 3 }, overall: null });
  });

  it("weighs subsets by their sizes, PRM Math as the code subsets together", () => {
    const { sections, overall } = sectionsOf(BEAVER_COST);
    // By hand: (50 + 56 + 67 + 16 + 29) / 358, (20 + 52 + 58 + 36 + 22 + 17) / 456, (97 + 100 + 154 + 71 + 112) / 740.
    expect(sections.Chat).toBeCloseTo(218 / 358, 12);
    expect(sections["Chat Hard"]).toBeCloseTo(205 / 456, 12);
    expect(sections.Safety).toBeCloseTo(534 / 740, 12);
    const code = (103 + 104 + 116 + 109 + 90 + 106) / 984;
    expect(sections.Reasoning).toBeCloseTo((132 / 447 + code) / 2, 12);
    expect(overall).toBeCloseTo((218 / 358 + 205 / 456 + 534 / 740 + (132 / 447 + code) / 2) / 4, 12);
  });

  it.each([
    ["Nemotron-4-340B-Reward", [95.8, 87.1, 91.5, 93.7], 92.0],
    ["Llama3-70B-SteerLM-RM", [91.3, 80.3, 92.8, 90.7], 88.8],
  ])("averages the sections of %s to the published total", (_, sections, total) => {
    const [chat = 0, hard = 0, safety = 0, reasoning = 0] = sections;
    const one = sectionsOf({
      "alpacaeval-easy": chat,
      "llmbar-natural": hard,
      donotanswer: safety,
      "hep-go": reasoning,
    });
    expect(Math.abs((one.overall ?? 0) - total)).toBeLessThan(0.051);
  });

  it("counts the prior sets as half a section where all four are there", () => {
    const prior = { anthropic_helpful: 0.6, anthropic_hhh: 0.8, shp: 0.5, summarize: 0.7 };
    const { sections, overall, overall_with_prior_sets } = sectionsOf({ ...BEAVER_COST, ...prior });
    expect(sections["Prior Sets"]).toBeCloseTo(0.65, 12);
    expect(overall_with_prior_sets).toBeCloseTo((4 * (overall ?? 0) + 0.5 * 0.65) / 4.5, 12);
    expect(sectionsOf(BEAVER_COST).overall_with_prior_sets).toBeNull();
  });

  it("refuses a subset that it has not", () => {
    expect(() => sectionsOf({ "alpacaeval-tricky": 1 })).toThrow("alpacaeval-tricky is no subset");
  });
});

describe("RewardBench 2", () => {
  it("shares the point among answers that score highest together", () => {
    const items = [
      item("Math", [3], [1, 2, 0]),
      item("Math", [3], [3, 2, 0]),
      item("Math", [3], [3, 3, 3]),
      item("Math", [1], [3, 0, 0]),
    ];
    expect(scoreRewardBench2(items)).toMatchObject({ tasks: 4, domains: { Math: 1.75 / 4 }, overall: null });
  });

  it("scores ties by the published formula, worked by hand", () => {
    const items = [
      // Gap 3 − 1 = 2, spread 4 − 3 = 1; reference gap 1.5: all margins hold, tanh(1.5 / 1 − 1).
      item("Ties", [4, 3], [1, 0], "tied:1"),
      item("Ties", [3], [1.5, 0], "ref:1"),
      // Gap 1, spread 2: right answers above the wrong ones, but wider apart; reference wrong by 1: tanh(−1 / 2 − 1).
      item("Ties", [5, 3], [2], "tied:2"),
      item("Ties", [1], [2], "ref:2"),
    ];
    const expected = 0.3 * 1 + 0.3 * 0.5 + 0.2 * 0.5 + 0.2 * 0.5 + 0.01 * ((Math.tanh(0.5) + Math.tanh(-1.5)) / 2);
    expect(scoreTies(items)).toBeCloseTo(expected, 12);
  });

  it("counts a gap over no spread as the widest, and no gap over no spread as nothing", () => {
    const ties = (gap: number) =>
      scoreTies([item("Ties", [2, 2], [2 - gap], "tied:1"), item("Ties", [2], [2 - gap], "ref:1")]);
    expect(ties(1)).toBeCloseTo(1.01, 12);
    expect(ties(0)).toBe(0);
  });

  it("averages its six domains", () => {
    const four = ["Factuality", "Precise IF", "Math", "Safety", "Focus"].map((domain) => item(domain, [1], [0, 0, 0]));
    const ties = [item("Ties", [1, 1], [2], "tied:1"), item("Ties", [1], [2], "ref:1")];
    expect(scoreRewardBench2([...four, ...ties]).overall).toBeCloseTo((5 - 0.01) / 6, 12);
  });

  it("refuses ties whose other half is not there", () => {
    expect(() => scoreTies([item("Ties", [1, 1], [0], "tied:1")])).toThrow("No Ties task has both");
    expect(() => scoreTies([item("Ties", [1, 1], [0], "7")])).toThrow("neither ref:number nor tied:number");
  });
});

describe("RM-Bench", () => {
  it("is hard where the wrong answer is showier, easy where the right one is", () => {
    expect(
      difficulties([
        [0.5, 0.1, 0.2],
        [0.9, 0.6, 0.3],
        [1, 0.8, 0.7],
      ]),
    ).toEqual({
      hard: (0.1 + 0.2 + 0.3) / 3,
      normal: (0.5 + 0.6 + 0.7) / 3,
      easy: (0.9 + 1 + 0.8) / 3,
    });
  });

  it("compares each style of the right answer with each of the wrong one, equal scores lost", () => {
    const { matrices, domains } = scoreRmBench([item("chat", [1, 2, 3], [1, 1.5, 2.5])]);
    expect(matrices.chat).toEqual([
      [0, 0, 0],
      [1, 1, 0],
      [1, 1, 1],
    ]);
    expect(domains.chat).toMatchObject({ hard: 0, normal: 2 / 3, easy: 1 });
    expect(domains.chat?.average).toBeCloseTo(5 / 9, 12);
  });

  it("counts both safety sets as one domain, and averages domains and difficulties to the same total", () => {
    const items = ["chat", "math", "code", "safety-refuse", "safety-response"].map((domain, index) =>
      item(domain, [index, 2, 3], [1, 1.5, 2.5], `${index}`),
    );
    const { domains, overall } = scoreRmBench(items);
    expect(Object.keys(domains)).toEqual(["chat", "math", "code", "safety"]);
    const mean = Object.values(domains).reduce((sum, { average }) => sum + average, 0) / 4;
    expect(overall?.average).toBeCloseTo(mean, 12);
  });

  it.each([
    ["Skywork-Reward-Llama-3.1-8B", [69.5, 60.6, 54.5, 95.7], [89.0, 74.7, 46.6], 70.1],
    ["URM-LLaMa-3.1-8B", [71.2, 61.8, 54.1, 93.1], [84.0, 73.2, 53.0], 70.0],
    ["Nemotron-340B-Reward", [71.2, 59.8, 59.4, 87.5], [81.0, 71.4, 56.1], 69.5],
  ])("has totals as published for %s, by domains and by difficulties", (_, domains, byDifficulty, total) => {
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const [easy = 0, normal = 0, hard = 0] = byDifficulty;
    const {
      hard: h,
      normal: n,
      easy: e,
    } = difficulties([
      [normal, hard, hard],
      [easy, normal, hard],
      [easy, easy, normal],
    ]);
    expect(Math.abs(mean([h, n, e]) - total)).toBeLessThan(0.1);
    expect(Math.abs(mean(domains) - total)).toBeLessThan(0.1);
  });
});

describe("the scalar of an answer", () => {
  it("is the weighted sum of the attributes, by hand or by published weights", () => {
    const predicted = { helpfulness: 4, correctness: 3, coherence: 4, complexity: 1, verbosity: 2 };
    expect(scalarise(predicted, parseWeights("helpfulness=1,verbosity=-0.5"))).toBe(3);
    expect(scalarise(predicted, parseWeights("helpsteer2-goodness"))).toBeCloseTo(2.6 + 2.4 + 1.8, 12);
    expect(scalarise(predicted, parseWeights("helpsteer2-70b"))).toBeCloseTo(6.8 + 0.55 - 0.8, 12);
    expect(scalarise(predicted, parseWeights("helpsteer2-340b"))).toBeCloseTo(1.2 + 2.22 + 1.84 + 0.47 - 0.66, 12);
  });

  it("is refused where an attribute that counts was not predicted, or weights are none", () => {
    expect(() => scalarise({ quality: 3 }, { helpfulness: 1 })).toThrow(
      "helpfulness was not predicted; there are quality",
    );
    expect(() => parseWeights("goodness=1")).toThrow("goodness=1 is not attribute=weight");
    expect(() => parseWeights("quality=")).toThrow("quality= is not");
  });
});

describe("an answer's place", () => {
  const place = fc.record({
    benchmark: fc.constantFrom("rewardbench" as const, "rewardbench2" as const, "rm-bench" as const),
    subset: fc.string(),
    item: fc.string(),
    side: fc.constantFrom("chosen" as const, "rejected" as const),
    index: fc.integer({ min: 0, max: 3 }),
    counts: fc.record({ chosen: fc.integer({ min: 4, max: 9 }), rejected: fc.integer({ min: 4, max: 9 }) }),
  });

  it("comes back from its id, whatever names the benchmark has", () => {
    fc.assert(
      fc.property(place, (one) => {
        expect(placeOf(placeId(one))).toEqual(one);
      }),
    );
  });

  it("is not read from an id that says none", () => {
    fc.assert(
      fc.property(fc.string(), (id) => {
        expect(placeOf(id)).toBeNull();
      }),
    );
    expect(placeOf('["rewardbench","Chat","1","chosen",1,[1,1]]')).toBeNull();
  });

  it("is asked for once: missing and repeated scores are refused", () => {
    const collector = new ItemCollector();
    const at = (side: "chosen" | "rejected"): AnswerPlace => ({
      benchmark: "rewardbench",
      subset: "hep-go",
      item: "7",
      side,
      index: 0,
      counts: { chosen: 1, rejected: 1 },
    });
    collector.add(at("chosen"), 1);
    expect(() => collector.items()).toThrow("1 of 1 items lack the score of an answer: hep-go 7");
    collector.add(at("rejected"), 0);
    expect(collector.items()).toEqual([item("hep-go", [1], [0], "7")]);
    expect(() => collector.add(at("rejected"), 0)).toThrow("is scored twice");
  });
});
