import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ParameterSet } from "../../gpu-worker/runtime/parameter-set.ts";
import { runReplyStep } from "../../gpu-worker/runtime/reply-step.ts";
import { ensureTrainingGraph } from "../../gpu-worker/runtime/training-files.ts";
import { TrainingSession } from "../../gpu-worker/runtime/training-session.ts";
import { referenceLogits } from "../fixtures/reference-llama.ts";
import { TINY_CONFIG, tinyWeights, writeTinyModel } from "../fixtures/tiny-llama.ts";

const lora = { rank: 2, scale: 2 };
let model: Awaited<ReturnType<typeof writeTinyModel>>;
let cache: string;

beforeAll(async () => {
  model = await writeTinyModel();
  cache = await mkdtemp(join(tmpdir(), "attune-training-"));
});
afterAll(async () => {
  await model.remove();
  await rm(cache, { recursive: true });
});

it("trains a model from its file: an untrained adapter leaves it as it is", async () => {
  const { path, config, parameters } = await ensureTrainingGraph(
    model.path,
    { kind: "reply", purpose: "train", lora },
    cache,
  );
  const session = new TrainingSession(path, new ParameterSet(parameters), "train", 1);
  try {
    const tokens = [5, 100, 42, 7];
    const rows = [{ tokens, weights: [0, 0, 0, 1], inReply: [false, false, false, true] }];
    const { likelihood } = runReplyStep(session, config, { rows, pairs: [] });
    const logits = referenceLogits(TINY_CONFIG, tinyWeights(), tokens)[2] ?? [];
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    expect(likelihood).toBeCloseTo(Math.log(total) - (logits[7] ?? 0), 3);
  } finally {
    session.release();
  }
});

it("builds a step once", async () => {
  const step = { kind: "attributes", attributes: 9, purpose: "evaluate", lora } as const;
  const first = await ensureTrainingGraph(model.path, step, cache);
  const second = await ensureTrainingGraph(model.path, step, cache);
  expect(second).toEqual(first);
  const built = await readdir(join(cache, "training"));
  expect(built.filter((name) => name.startsWith("attributes-evaluate"))).toHaveLength(1);
});
