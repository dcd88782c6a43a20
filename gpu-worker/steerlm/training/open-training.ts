import { basename, dirname } from "node:path";
import type { DecoderConfig } from "../../graph/decoder.ts";
import { ParameterSet } from "../../runtime/parameter-set.ts";
import { ensureTrainingGraph, type TrainingStep } from "../../runtime/training-files.ts";
import { TrainingSession } from "../../runtime/training-session.ts";
import { initialiseParameters } from "../optimiser/initial-parameters.ts";
import { seededDraws } from "./seeded-draws.ts";

/** `content`: names model and step by what is in them, for a run's identity. */
export type OpenTraining = { session: TrainingSession; config: DecoderConfig; content: string };

/**
 * A training step over a model, with parameters as a run begins with them. The caller releases the session.
 *
 * @param model a GGUF file, or a directory as transformers saves it
 * @param options `seed` draws the parameters; `cores`: to compute on, 0 for all
 * @throws Error where the model cannot be read
 */
export async function openTraining(
  model: string,
  step: TrainingStep,
  { seed, cores }: { seed: string; cores: number },
): Promise<OpenTraining> {
  const { path, config, parameters: shapes } = await ensureTrainingGraph(model, step);
  const parameters = new ParameterSet(shapes);
  initialiseParameters(parameters, seededDraws(`${seed}:parameters`));
  const session = new TrainingSession(path, parameters, step.purpose, cores);
  return { session, config, content: basename(dirname(path)) };
}
