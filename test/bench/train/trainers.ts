import { fileURLToPath } from "node:url";
import { ensureTrainingGraph } from "../../../gpu-worker/runtime/training-files.ts";
import { type Command, EngineProcess } from "../engine/engine-process.ts";
import { installPythonPeer } from "../engine/install.ts";
import { trainingStep } from "./adapter.ts";
import type { TrainerSettings, TrainRequest } from "./protocol.ts";

/** Ours in both precisions of the model's own matrices, and the peer. */
export const TRAINERS = ["attune int8", "attune fp32", "pytorch"] as const;
export type TrainerName = (typeof TRAINERS)[number];

export type Trainer = EngineProcess<TrainRequest>;

/** Trainers that are loaded, and why the others are not. */
export type StartedTrainers = {
  running: Map<TrainerName, Trainer>;
  unavailable: Partial<Record<TrainerName, string>>;
};

/** @param settings of each trainer */
export async function startTrainers(settings: Record<TrainerName, TrainerSettings>): Promise<StartedTrainers> {
  const started: StartedTrainers = { running: new Map(), unavailable: {} };
  for (const name of TRAINERS) {
    console.log(`Starting ${name} …`);
    try {
      // Built here, where it may take as long as it takes: a few minutes the first time.
      if (name !== "pytorch") await ensureTrainingGraph(settings[name].model, trainingStep(settings[name].precision));
      const trainer = await EngineProcess.start<TrainRequest>(await commandOf(name, settings[name]));
      console.log(`${name} ${trainer.version}: ${trainer.detail}`);
      started.running.set(name, trainer);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // There are processors that our int8 step refuses; without the other two there is nothing to compare.
      if (name !== "attune int8") throw new Error(`${name} cannot be measured: ${reason}`, { cause: error });
      console.log(`${name} cannot be measured: ${reason}`);
      started.unavailable[name] = reason;
    }
  }
  return started;
}

async function commandOf(name: TrainerName, settings: TrainerSettings): Promise<Command> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const json = JSON.stringify(settings);
  if (name !== "pytorch") return { command: process.execPath, args: [here("./children/attune.ts"), json] };
  const python = await installPythonPeer("pytorch", new URL("./python/", import.meta.url));
  return { command: python, args: [here("./python/pytorch_trainer.py"), json] };
}
