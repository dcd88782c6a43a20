/** Our training step as `attune sft` runs it, but for the data: gradient, clipping and optimiser over given batches. */
import { ParameterSet } from "../../../../gpu-worker/runtime/parameter-set.ts";
import { type ReplyBatch, runReplyStep } from "../../../../gpu-worker/runtime/reply-step.ts";
import { ensureTrainingGraph } from "../../../../gpu-worker/runtime/training-files.ts";
import { TrainingSession } from "../../../../gpu-worker/runtime/training-session.ts";
import { AdamW } from "../../../../gpu-worker/steerlm/optimiser/adamw.ts";
import { GradientSum } from "../../../../gpu-worker/steerlm/optimiser/gradient-sum.ts";
import { serveRequests } from "../../engine/children/serve-requests.ts";
import { attuneVersion, installedVersion } from "../../engine/installed-version.ts";
import { fillInitialAdapter, trainingStep } from "../adapter.ts";
import type { TrainerSettings, TrainRequest } from "../protocol.ts";

await serveRequests<TrainerSettings, TrainRequest>(async ({ model, precision, threads, optimiser: settings }) => {
  const { path, config, parameters: shapes } = await ensureTrainingGraph(model, trainingStep(precision));
  const parameters = new ParameterSet(shapes);
  fillInitialAdapter(parameters);
  const session = new TrainingSession(path, parameters, "train", threads);
  const optimiser = new AdamW(parameters.values.length, settings);
  const gradient = new GradientSum(parameters.values.length);

  const train = (batch: ReplyBatch): number => {
    gradient.clear();
    const { likelihood, contrast } = runReplyStep(session, config, batch);
    gradient.add(session.gradients.values);
    gradient.clip(settings.clip);
    optimiser.step(parameters.values, gradient.values, settings.learningRate);
    return likelihood + contrast;
  };

  return {
    version: attuneVersion(),
    detail: `onnxruntime-node ${installedVersion("onnxruntime-node", import.meta.url)}, ${precision}`,
    async answer({ kind, batch, steps }) {
      const began = performance.now();
      let loss = Number.NaN;
      for (let taken = 0; taken < steps; taken++) loss = train(batch);
      return kind === "seconds" ? (performance.now() - began) / 1000 : loss;
    },
  };
});
