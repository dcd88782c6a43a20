import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainingSession } from "../../gpu-worker/runtime/training-session.ts";
import { type Example, exampleLength, exampleOf } from "../../gpu-worker/steerlm/sft/example.ts";
import { examplesOf, sftBatches } from "../../gpu-worker/steerlm/sft/sft-step.ts";
import { added, type Measures, meansOf } from "../../gpu-worker/steerlm/training/measures.ts";
import { PYTORCH } from "../fixtures/pytorch-gradients.ts";
import { replyTrainer } from "../fixtures/tiny-trainer.ts";

const { config } = PYTORCH;
let session: TrainingSession;
beforeAll(async () => {
  session = await replyTrainer();
});
afterAll(() => session.release());

const example = (prompt: number[], tokens: number[], weights: number[], other?: number[]): Example =>
  exampleOf(prompt, { tokens, weights }, other === undefined ? null : { focus: "verbosity", prompt: other });

const EXAMPLES = [
  example([1, 2, 3], [4, 5], [1, 4], [1, 2, 6]),
  example([7, 8], [9, 10, 11, 12], [1, 1, 1, 4]),
  example([3, 1, 5, 2], [6], [4], [3, 1, 4, 2]),
];

/** Gradient and measures of a step. */
function computed(examples: readonly Example[], microTokens: number, contrast = 0.3) {
  const gradient = new Float64Array(session.parameters.values.length);
  let measures: Measures = {};
  let batches = 0;
  for (const { run } of sftBatches(examples, contrast, { batchTokens: 1, microTokens }, { session, config })) {
    measures = added(measures, run());
    for (const [index, value] of session.gradients.values.entries()) gradient[index] = (gradient[index] ?? 0) + value;
    batches++;
  }
  return { gradient, measures, batches };
}

function expectClose(a: Float64Array, b: Float64Array) {
  const scale = Math.max(...b.map(Math.abs));
  expect(scale).toBeGreaterThan(0);
  expect(Math.max(...a.map((value, index) => Math.abs(value - (b[index] ?? Number.NaN)))) / scale).toBeLessThan(1e-4);
}

describe("a step of conditioned SFT", () => {
  it("learns the same however it is divided", () => {
    const [whole, parts] = [computed(EXAMPLES, 1000), computed(EXAMPLES, 1)];
    expect([whole.batches, parts.batches]).toEqual([1, 3]);
    expectClose(parts.gradient, whole.gradient);
    expect(parts.measures.nll?.sum).toBeCloseTo(whole.measures.nll?.sum ?? 0, 4);
    expect(parts.measures.contrast?.sum).toBeCloseTo(whole.measures.contrast?.sum ?? 0, 4);
    expect(parts.measures.right_verbosity).toEqual(whole.measures.right_verbosity);
  });

  it("has a gradient whose size does not depend on how much it holds", () => {
    expectClose(computed([...EXAMPLES, ...EXAMPLES], 1000).gradient, computed(EXAMPLES, 1000).gradient);
  });

  it("measures the reply's own tokens, and pairs where there are some", () => {
    const { measures } = computed(EXAMPLES, 1000);
    expect(measures.nll?.count).toBe(7);
    expect(measures.contrast?.count).toBe(2);
    expect(measures.right_verbosity?.count).toBe(2);
    expect(meansOf(measures).contrast).toBeGreaterThan(0);
    const alone = computed(EXAMPLES.slice(1, 2), 1000);
    expect(Object.keys(alone.measures)).toEqual(["nll"]);
  });

  it("is pulled further by a pair the more that counts", () => {
    const [none, some] = [computed(EXAMPLES, 1000, 0), computed(EXAMPLES, 1000, 0.3)];
    expect(none.gradient).not.toEqual(some.gradient);
    expect(none.measures.contrast).toBeUndefined();
  });

  it("holds examples until they fill it, however long the last one is", () => {
    const long = example(Array(50).fill(1), [2], [1]);
    const queue = [EXAMPLES[0], EXAMPLES[1], long, EXAMPLES[2]].flatMap((one) => one ?? []);
    const size = { batchTokens: 20, microTokens: 30 };
    const taken = examplesOf(() => queue.shift() ?? long, size);
    expect(taken).toHaveLength(3);
    expect(taken.at(-1)).toBe(long);
    expect(exampleLength(long)).toBeGreaterThan(size.batchTokens);
  });
});
