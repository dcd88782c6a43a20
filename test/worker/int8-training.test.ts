import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../gpu-worker/engine/random.ts";
import { int8Layout } from "../../gpu-worker/runtime/int8-layout.ts";
import { ParameterSet } from "../../gpu-worker/runtime/parameter-set.ts";
import { runReplyStep } from "../../gpu-worker/runtime/reply-step.ts";
import { ensureTrainingGraph, type TrainingStep } from "../../gpu-worker/runtime/training-files.ts";
import { TrainingSession } from "../../gpu-worker/runtime/training-session.ts";
import { AdamW } from "../../gpu-worker/steerlm/optimiser/adamw.ts";
import { initialiseParameters } from "../../gpu-worker/steerlm/optimiser/initial-parameters.ts";
import { PYTORCH } from "../fixtures/pytorch-gradients.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { replyTrainer } from "../fixtures/tiny-trainer.ts";

const { config, reply } = PYTORCH;
const canSumBytes = int8Layout() === "int8-channels";
const step = { kind: "reply", purpose: "train", precision: "int8", lora: { rank: 2, scale: 2 } } as const;

/** Cosine of the angle between two gradients. */
function alignment(a: Float32Array, b: Float32Array): number {
  let [dot, squaresA, squaresB] = [0, 0, 0];
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? Number.NaN;
    dot += value * other;
    squaresA += value * value;
    squaresB += other * other;
  }
  return dot / Math.sqrt(squaresA * squaresB);
}

async function withSession<Result>(
  session: TrainingSession | Promise<TrainingSession>,
  use: (session: TrainingSession) => Result,
): Promise<Result> {
  const opened = await session;
  try {
    return use(opened);
  } finally {
    opened.release();
  }
}

describe.runIf(canSumBytes)("a step in int8", () => {
  it("has almost the losses of float32, and a gradient that points where float32's does, for every matrix", async () => {
    const exact = await withSession(replyTrainer(), (session) => ({
      losses: runReplyStep(session, config, reply.batch),
      parts: session.gradients.parts.map(({ name, values }) => ({ name, values: values.slice() })),
    }));
    await withSession(replyTrainer("train", "int8"), (session) => {
      const losses = runReplyStep(session, config, reply.batch);
      expect(Math.abs(losses.likelihood / exact.losses.likelihood - 1)).toBeLessThan(0.01);
      expect(Math.abs(losses.contrast / exact.losses.contrast - 1)).toBeLessThan(0.05);
      for (const { name, values } of exact.parts) {
        expect(alignment(session.gradients.part(name).values, values), name).toBeGreaterThan(0.97);
      }
    });
  });

  it("scores as it trains where it computes no gradients", async () => {
    const trained = await withSession(replyTrainer("train", "int8"), (session) =>
      runReplyStep(session, config, reply.batch),
    );
    const evaluated = await withSession(replyTrainer("evaluate", "int8"), (session) =>
      runReplyStep(session, config, reply.batch),
    );
    expect(evaluated).toEqual(trained);
  });

  it("lowers the loss of a batch it sees again and again", async () => {
    await withSession(replyTrainer("train", "int8"), (session) => {
      const { parameters, gradients } = session;
      initialiseParameters(parameters, seededRandom(1));
      const settings = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0 };
      const optimiser = new AdamW(parameters.values.length, settings);
      const losses = Array.from({ length: 30 }, () => {
        const { likelihood, contrast } = runReplyStep(session, config, reply.batch);
        optimiser.step(parameters.values, gradients.values, 0.01);
        return likelihood + contrast;
      });
      expect(losses.at(-1)).toBeLessThan(0.2 * (losses[0] ?? 0));
    });
  });

  it("has no gradient where nothing is to be learnt", async () => {
    await withSession(replyTrainer("train", "int8"), (session) => {
      const rows = reply.batch.rows.map((row) => ({ ...row, weights: row.weights.map(() => 0) }));
      runReplyStep(session, config, { rows, pairs: [] });
      expect(session.gradients.values.every((value) => value === 0)).toBe(true);
    });
  });
});

describe("a model's file", () => {
  async function built<Result>(
    wanted: TrainingStep,
    use: (graph: Awaited<ReturnType<typeof ensureTrainingGraph>>) => Result,
  ) {
    const model = await writeTinyModel();
    const cache = await mkdtemp(join(tmpdir(), "attune-int8-training-"));
    try {
      return use(await ensureTrainingGraph(model.path, wanted, cache));
    } finally {
      await model.remove();
      await rm(cache, { recursive: true });
    }
  }

  it.runIf(canSumBytes)("trains in int8", async () => {
    await built(step, ({ path, config: shape, parameters }) => {
      const session = new TrainingSession(path, new ParameterSet(parameters), "train", 1);
      const row = { tokens: [5, 100, 42, 7], weights: [0, 0, 0, 1], inReply: [false, false, false, true] };
      expect(runReplyStep(session, shape, { rows: [row], pairs: [] }).likelihood).toBeGreaterThan(0);
      session.release();
    });
  });

  it.runIf(!canSumBytes)("is refused in int8 where sums of products would overflow", async () => {
    await expect(built(step, () => {})).rejects.toThrow("--precision fp32");
  });
});
