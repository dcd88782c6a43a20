import type { Precision } from "../../../gpu-worker/graph/precision.ts";
import type { ReplyBatch } from "../../../gpu-worker/runtime/reply-step.ts";

/** Both sides clip and optimise alike. */
export const OPTIMISER = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clip: 1 };

/** What every trainer is started with, as JSON in its first argument. */
export type TrainerSettings = {
  /** The base: a GGUF file for ours, a directory for the peer. */
  model: string;
  /** Of the base's matrices. */
  precision: Precision;
  /** Where the peer's initial adapter is; ours makes the same one. */
  adapter?: string;
  threads: number;
  optimiser: typeof OPTIMISER;
};

/** Takes whole steps, forward to optimiser; the answer is the loss before the last one, or the seconds that all took. */
export type TrainRequest = { kind: "loss" | "seconds"; batch: ReplyBatch; steps: number };
