import { setImmediate } from "node:timers/promises";
import type { TrainingSession } from "../../runtime/training-session.ts";
import { AdamW, type AdamWSettings } from "../optimiser/adamw.ts";
import { GradientSum } from "../optimiser/gradient-sum.ts";
import { learningRate, type Schedule } from "../optimiser/learning-rate.ts";
import type { Identity } from "./identity.ts";
import { added, type Measures, meansOf, ranOn } from "./measures.ts";
import type { RunDirectory } from "./run-directory.ts";

/** What is computed at once. */
export type MicroBatch = {
  /** Padding included. */
  tokens: number;
  /** Runs the session, whose gradients are then those of this part of the step's loss. */
  run: () => Measures;
};

export type StepReport = {
  /** Steps taken, this one included. */
  step: number;
  steps: number;
  /** Means over this step. */
  measures: Record<string, number>;
  /** Means over the last thirty steps or so. */
  running: Record<string, number>;
  learningRate: number;
  /** Before it was clipped. */
  gradientNorm: number;
  tokens: number;
  seconds: number;
};

export type TrainOptions = {
  /** Holds the parameters as the run begins with them. */
  session: Pick<TrainingSession, "parameters" | "gradients">;
  run: RunDirectory;
  /** All that the numbers depend on. */
  identity: Identity;
  /** How many steps there are, too. */
  schedule: Schedule;
  optimiser: AdamWSettings;
  /** Largest norm of a step's gradient. */
  clip: number;
  /** Between two checkpoints; 0 for one after each step. */
  checkpointMinutes: number;
  /** Ends the run after the last whole step, with a checkpoint. */
  signal: AbortSignal;
  onStep: (report: StepReport) => void | Promise<void>;
  /** After each checkpoint, and at the end: the parameters are worth keeping. */
  onCheckpoint: (step: number) => void | Promise<void>;
};

/** Where a run stopped. */
export type TrainingEnd = { step: number; isFinished: boolean };

/**
 * Trains, from where the run in the directory stopped. What a step computes is a function of its number alone, so a run that was
 * interrupted and gone on with ends with the parameters of one that was not, to the last bit.
 *
 * `MicroBatch.run` blocks the thread; between two of them the event loop turns, so signals get through.
 *
 * @param batchesOf what step `step` (from 0) is made of: its gradient is the sum of theirs
 * @throws Error where the run was begun otherwise, where the disk does not take a checkpoint, or where the loss stops being a number
 */
export async function train(
  options: TrainOptions,
  batchesOf: (step: number) => Iterable<MicroBatch>,
): Promise<TrainingEnd> {
  const { session, run, identity, schedule, signal } = options;
  const { steps } = schedule;
  const parameters = session.parameters.values;
  const optimiser = new AdamW(parameters.length, options.optimiser);
  const gradient = new GradientSum(parameters.length);
  const begun = await run.restore(identity);
  if (begun !== null) {
    parameters.set(begun.parameters);
    optimiser.restore(begun.optimiser);
  }
  let { step, running } = begun ?? { step: 0, running: {} };
  let saved = { step, at: performance.now() };
  const save = async () => {
    const state = { identity, step, running, parameters, optimiser: optimiser.serialise() };
    if (saved.step !== step) await run.save(state);
    await options.onCheckpoint(step);
    saved = { step, at: performance.now() };
  };

  while (step < steps) {
    const began = performance.now();
    const whole = await accumulate(batchesOf(step), session, gradient, signal);
    if (whole === null) break;
    const { measures, tokens } = whole;
    const gradientNorm = gradient.clip(options.clip);
    if (!Number.isFinite(gradientNorm)) throw diverged(step);
    const rate = learningRate(schedule, step);
    optimiser.step(parameters, gradient.values, rate);
    step++;
    running = ranOn(running, measures);
    const seconds = (performance.now() - began) / 1000;
    const means = meansOf(measures);
    await run.history.append({ step, ...means, learning_rate: rate, gradient_norm: gradientNorm, tokens, seconds });
    const report = { step, steps, measures: means, running: meansOf(running), learningRate: rate, gradientNorm };
    await options.onStep({ ...report, tokens, seconds });
    if (performance.now() - saved.at >= options.checkpointMinutes * 60_000) await save();
  }
  if (step > 0) await save();
  return { step, isFinished: step >= steps };
}

/** Adds up the gradients of one step. @returns null where the signal came before all were computed */
async function accumulate(
  batches: Iterable<MicroBatch>,
  session: TrainOptions["session"],
  gradient: GradientSum,
  signal: AbortSignal,
): Promise<{ measures: Measures; tokens: number } | null> {
  gradient.clear();
  let measures: Measures = {};
  let tokens = 0;
  for (const batch of batches) {
    await setImmediate();
    if (signal.aborted) return null;
    measures = added(measures, batch.run());
    gradient.add(session.gradients.values);
    tokens += batch.tokens;
  }
  return { measures, tokens };
}

const diverged = (step: number) =>
  new Error(
    `The gradient of step ${step + 1} is no number. The checkpoint before is kept; begin anew with a lower --lr in another directory.`,
  );
