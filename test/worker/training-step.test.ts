import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../gpu-worker/engine/random.ts";
import { HEAD_WEIGHT } from "../../gpu-worker/graph/training/attribute-step.ts";
import { runAttributeStep } from "../../gpu-worker/runtime/attribute-step.ts";
import type { ParameterSet } from "../../gpu-worker/runtime/parameter-set.ts";
import { runReplyStep } from "../../gpu-worker/runtime/reply-step.ts";
import type { TrainingSession } from "../../gpu-worker/runtime/training-session.ts";
import { AdamW } from "../../gpu-worker/steerlm/optimiser/adamw.ts";
import { GradientSum } from "../../gpu-worker/steerlm/optimiser/gradient-sum.ts";
import { initialiseParameters } from "../../gpu-worker/steerlm/optimiser/initial-parameters.ts";
import { learningRate } from "../../gpu-worker/steerlm/optimiser/learning-rate.ts";
import { PYTORCH } from "../fixtures/pytorch-gradients.ts";
import { referenceLoss } from "../fixtures/reference-losses.ts";
import { attributeTrainer, moduleMatrices, replyTrainer } from "../fixtures/tiny-trainer.ts";

const { config } = PYTORCH;

/** Largest difference of two lists, relative to the largest number of the second. */
function relativeError(actual: ArrayLike<number> | undefined, expected: readonly number[]): number {
  expect(actual).toHaveLength(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, index) => Math.abs(value - (actual?.[index] ?? Number.NaN)))) / scale;
}

function expectGradients(gradients: ParameterSet, expected: Record<string, readonly number[]>) {
  const matrices = moduleMatrices(gradients);
  for (const [name, wanted] of Object.entries(expected)) {
    const actual = matrices.get(name) ?? gradients.part(name).values;
    expect(relativeError(actual, wanted), name).toBeLessThan(1e-4);
  }
}

describe("a step over replies", () => {
  let session: TrainingSession;
  beforeAll(async () => {
    session = await replyTrainer();
  });
  afterAll(() => session.release());

  it("has PyTorch's losses and gradients, rows of several lengths and pairs among them", () => {
    const { batch, likelihood, contrast, rowLogprobs, gradients } = PYTORCH.reply;
    const losses = runReplyStep(session, config, batch);
    expect(losses.likelihood).toBeCloseTo(likelihood, 4);
    expect(losses.contrast).toBeCloseTo(contrast, 4);
    expect(relativeError(losses.replyLogprobs, rowLogprobs)).toBeLessThan(1e-5);
    expectGradients(session.gradients, gradients);
  });

  it("has the gradients of the plain float64 model's losses, by finite differences", () => {
    const { batch } = PYTORCH.reply;
    runReplyStep(session, config, batch);
    const parameters = new Map([...moduleMatrices(session.parameters)].map(([name, values]) => [name, values.slice()]));
    for (const [name, gradient] of moduleMatrices(session.gradients)) {
      const values = parameters.get(name) ?? new Float32Array();
      const largest = gradient.reduce(
        (most, value, index) => (Math.abs(value) > Math.abs(gradient[most] ?? 0) ? index : most),
        0,
      );
      const initial = values[largest] ?? 0;
      const at = (distance: number) => {
        values[largest] = initial + distance;
        return referenceLoss(parameters, batch);
      };
      const step = 2 ** -6;
      const numeric = (at(-2 * step) - 8 * at(-step) + 8 * at(step) - at(2 * step)) / (12 * step);
      values[largest] = initial;
      expect(Math.abs(numeric - (gradient[largest] ?? 0)) / Math.abs(numeric), name).toBeLessThan(1e-3);
    }
  });

  it("computes what two replies have in common once, to the same losses and gradients", () => {
    const { batch, likelihood, contrast, rowLogprobs, gradients } = PYTORCH.reply;
    const [first, second, third, fourth, last] = batch.rows;
    if (first === undefined || second === undefined || third === undefined) throw new Error("The fixture has rows");
    if (fourth === undefined || last === undefined) throw new Error("The fixture has rows");
    const following = (fork: number, { tokens, weights, inReply }: typeof first) => ({
      fork,
      tokens: tokens.slice(fork),
      weights: weights.slice(fork),
      inReply: inReply.slice(fork),
    });
    const rows = [
      { ...first, alternatives: [following(2, second)] },
      { ...third, alternatives: [following(1, fourth)] },
      last,
    ];
    const losses = runReplyStep(session, config, { rows, pairs: batch.pairs });
    expect(losses.likelihood).toBeCloseTo(likelihood, 4);
    expect(losses.contrast).toBeCloseTo(contrast, 4);
    expect(relativeError(losses.replyLogprobs, rowLogprobs)).toBeLessThan(1e-5);
    expectGradients(session.gradients, gradients);
  });

  it("scores a row alike alone and beside longer ones", () => {
    const { rows } = PYTORCH.reply.batch;
    const together = runReplyStep(session, config, { rows, pairs: [] }).replyLogprobs;
    for (const [index, row] of rows.entries()) {
      const [alone] = runReplyStep(session, config, { rows: [row], pairs: [] }).replyLogprobs;
      expect(alone).toBeCloseTo(together[index] ?? Number.NaN, 4);
    }
  });

  it("takes batches without pairs, and batches of pairs alone", () => {
    const { batch, likelihood, contrast } = PYTORCH.reply;
    const plain = runReplyStep(session, config, { rows: batch.rows, pairs: [] });
    expect(plain.likelihood).toBeCloseTo(likelihood, 4);
    expect(plain.contrast).toBe(0);
    const rows = batch.rows.map((row) => ({ ...row, weights: row.weights.map(() => 0) }));
    const pairs = runReplyStep(session, config, { rows, pairs: batch.pairs });
    expect(Math.abs(pairs.likelihood)).toBe(0);
    expect(pairs.contrast).toBeCloseTo(contrast, 4);
  });

  it("refuses a batch that says nothing to learn", () => {
    const row = { tokens: [1, 2], weights: [0, 0], inReply: [false, false] };
    expect(() => runReplyStep(session, config, { rows: [row], pairs: [] })).toThrow("No token");
  });

  it("evaluates without gradients to the same losses", async () => {
    const evaluator = await replyTrainer("evaluate");
    try {
      const { batch, likelihood } = PYTORCH.reply;
      expect(runReplyStep(evaluator, config, batch).likelihood).toBeCloseTo(likelihood, 4);
      expect(evaluator.gradients.values).toHaveLength(0);
    } finally {
      evaluator.release();
    }
  });
});

describe("training", () => {
  const settings = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };
  const schedule = { peak: 0.02, final: 0.002, warmUp: 3, steps: 30 };

  /** Steps `from` to `to` of overfitting one batch, which comes in two halves. */
  function train(session: TrainingSession, optimiser: AdamW, from: number, to: number): number[] {
    const { rows } = PYTORCH.reply.batch;
    const halves = [
      { rows: rows.slice(0, 3), pairs: [{ own: 0, other: 1, weight: 0.3 }] },
      { rows: rows.slice(3), pairs: [] },
    ];
    const sum = new GradientSum(session.parameters.values.length);
    return Array.from({ length: to - from }, (_, index) => {
      sum.clear();
      let loss = 0;
      for (const half of halves) {
        const { likelihood, contrast } = runReplyStep(session, config, half);
        loss += likelihood + contrast;
        sum.add(session.gradients.values);
      }
      sum.clip(1);
      optimiser.step(session.parameters.values, sum.values, learningRate(schedule, from + index));
      return loss;
    });
  }

  it("lowers the loss of a batch it sees again and again", async () => {
    const session = await replyTrainer();
    try {
      initialiseParameters(session.parameters, seededRandom(1));
      const losses = train(session, new AdamW(session.parameters.values.length, settings), 0, 30);
      expect(losses.at(-1)).toBeLessThan(0.2 * (losses[0] ?? 0));
    } finally {
      session.release();
    }
  });

  it("goes on bit for bit where it was interrupted", async () => {
    const [whole, first, second] = [await replyTrainer(), await replyTrainer(), await replyTrainer()];
    const size = whole.parameters.values.length;
    try {
      train(whole, new AdamW(size, settings), 0, 12);
      const interrupted = new AdamW(size, settings);
      train(first, interrupted, 0, 5);
      second.parameters.values.set(first.parameters.values);
      const resumed = new AdamW(size, settings);
      resumed.restore(interrupted.serialise());
      train(second, resumed, resumed.steps, 12);
      expect(second.parameters.values).toEqual(whole.parameters.values);
    } finally {
      for (const session of [whole, first, second]) session.release();
    }
  });
});

describe("a step over attributes", () => {
  let session: TrainingSession;
  beforeAll(async () => {
    session = await attributeTrainer();
  });
  afterAll(() => session.release());

  it("has PyTorch's error and gradients, head and missing targets included", () => {
    const { rows, error, predictions, gradients } = PYTORCH.attributes;
    const result = runAttributeStep(session, config, rows);
    expect(result.error).toBeCloseTo(error, 4);
    expect(relativeError(result.predictions.flat(), predictions)).toBeLessThan(1e-5);
    expectGradients(session.gradients, gradients);
  });

  it("learns nothing about an attribute that no row has a target for", () => {
    const [row] = PYTORCH.attributes.rows;
    runAttributeStep(session, config, [{ tokens: row?.tokens ?? [], targets: (row?.targets ?? []).with(1, null) }]);
    const { values } = session.gradients.part(HEAD_WEIGHT);
    const rowOf = (attribute: number) => values.subarray(attribute * config.hidden, (attribute + 1) * config.hidden);
    expect(Math.max(...rowOf(1).map(Math.abs))).toBe(0);
    expect(Math.max(...rowOf(0).map(Math.abs))).toBeGreaterThan(0);
  });

  it("has an error of 0 where there are no targets at all", () => {
    const result = runAttributeStep(session, config, [
      { tokens: [1, 2], targets: Array.from({ length: 9 }, () => null) },
    ]);
    expect(result.error).toBe(0);
    expect(Math.max(...session.gradients.values.map(Math.abs))).toBe(0);
  });

  it("reads the same off a text alone and beside longer ones", () => {
    const { rows } = PYTORCH.attributes;
    const together = runAttributeStep(session, config, rows).predictions;
    for (const [index, row] of rows.entries()) {
      const [alone] = runAttributeStep(session, config, [row]).predictions;
      expect(relativeError(alone, together[index] ?? [])).toBeLessThan(1e-5);
    }
  });
});
