/**
 * Our training step beside PyTorch's with PEFT, on this machine, the same weights and the same batches: `npm run bench:train`. What is
 * measured, and how, is in README.md here. The last line of stdout is the summary as JSON.
 */

import { rmSync } from "node:fs";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { pullModel } from "../../gpu-worker/model/pull.ts";
import { endWithParent } from "../../scripts/leash.ts";
import { describeMachine } from "./engine/machine.ts";
import { checkLosses } from "./train/check-losses.ts";
import { measureTraining } from "./train/measure-training.ts";
import { readTrainOptions, type TrainOptions } from "./train/options.ts";
import { type PeerModel, writePeerModel } from "./train/peer-model.ts";
import { OPTIMISER } from "./train/protocol.ts";
import { reportTrainers, summary, type TrainMeasurements } from "./train/report.ts";
import { startTrainers } from "./train/trainers.ts";

/** After so many milliseconds no further round is begun. */
const TIME_LIMIT = 50 * 60_000;

endWithParent();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const options = readTrainOptions(process.argv.slice(2));
if (options !== null) await run(options);
process.exit(0);

async function run({ plan, threads: wished }: TrainOptions): Promise<void> {
  const began = performance.now();
  const machine = describeMachine();
  const threads = wished ?? machine.cores;
  console.log(`${machine.cpu}, ${machine.isa}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}`);
  const model = await pullModel();
  const peer = await peerModel(model);
  const ours = { model, threads, optimiser: OPTIMISER };
  const started = await startTrainers({
    "attune int8": { ...ours, precision: "int8" },
    "attune fp32": { ...ours, precision: "fp32" },
    pytorch: { ...ours, precision: "fp32", model: peer.base, adapter: peer.adapter },
  });
  const losses = await checkLosses(started.running);
  const samples = await measureTraining(started.running, plan, () => performance.now() - began > TIME_LIMIT);
  const trainers = reportTrainers(started);
  for (const trainer of started.running.values()) await trainer.stop();
  const measured: TrainMeasurements = {
    plan: plan.name,
    machine,
    threads,
    seconds: Math.round((performance.now() - began) / 1000),
    trainers,
    unavailable: started.unavailable,
    losses,
    samples,
  };
  if (plan.name === "full") await writeResults(measured);
  console.log(JSON.stringify(summary(measured)));
}

/** The peer's files, gone when the benchmark ends, however it ends. */
async function peerModel(model: string): Promise<PeerModel> {
  const directory = await mkdtemp(join(tmpdir(), "attune-bench-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const checkpoint = await openCheckpoint(model);
  try {
    return await writePeerModel(directory, checkpoint);
  } finally {
    await checkpoint.close();
  }
}

async function writeResults(measured: TrainMeasurements): Promise<void> {
  const directory = new URL("./results/", import.meta.url);
  await mkdir(directory, { recursive: true });
  const file = new URL(`train-${measured.machine.isa}.json`, directory);
  await writeFile(file, `${JSON.stringify({ summary: summary(measured), measured }, null, 1)}\n`);
}
