import type { Machine } from "../engine/machine.ts";
import { pairedRatio, rounded, spread } from "../engine/statistics.ts";
import type { Losses } from "./check-losses.ts";
import type { TrainingSamples } from "./measure-training.ts";
import { MAIN_CELL } from "./options.ts";
import type { StartedTrainers, TrainerName } from "./trainers.ts";

/** Everything that one run measured. */
export type TrainMeasurements = {
  plan: string;
  machine: Machine;
  threads: number;
  /** Seconds the whole run took. */
  seconds: number;
  trainers: TrainerReport[];
  unavailable: StartedTrainers["unavailable"];
  losses: Losses;
  samples: TrainingSamples;
};

export type TrainerReport = { name: TrainerName; version: string; detail: string; peakMiB: number | null };

/** What is told of trainers before they are stopped. */
export const reportTrainers = ({ running }: StartedTrainers): TrainerReport[] =>
  [...running].map(([name, { version, detail, peakMiB }]) => ({ name, version, detail, peakMiB }));

/** The line that ends the benchmark's output. */
export function summary(measured: TrainMeasurements) {
  const { machine, samples, trainers, unavailable } = measured;
  const fastest: TrainerName = trainers.some(({ name }) => name === "attune int8") ? "attune int8" : "attune fp32";
  const present = trainers.map((trainer) => [trainer.name, trainerSummary(trainer, samples)] as const);
  const missing = Object.entries(unavailable).map(([name, reason]) => [name, { unavailable: reason }] as const);
  return {
    bench: "train",
    plan: measured.plan,
    isa: machine.isa,
    cpu: machine.cpu,
    threads: measured.threads,
    seconds: measured.seconds,
    trainers: Object.fromEntries([...present, ...missing]),
    losses: measured.losses,
    ours: fastest,
    ratios: ratiosOf(fastest, measured),
    ratios_fp32: ratiosOf("attune fp32", measured),
  };
}

function trainerSummary({ name, version, detail, peakMiB }: TrainerReport, samples: TrainingSamples) {
  const cells = Object.entries(samples).flatMap(([cell, rates]) => {
    const taken = rates[name] ?? [];
    return taken.length === 0 ? [] : [[cell, spread(taken)] as const];
  });
  return { version, detail, peak_rss_mib: peakMiB, tokens_per_second: Object.fromEntries(cells) };
}

/** Ours ÷ PyTorch's: tokens a second of the main cell, peak memory over all cells, and tokens a second by cell. */
function ratiosOf(ours: TrainerName, { samples, trainers }: TrainMeasurements) {
  const cells = Object.fromEntries(
    Object.entries(samples).map(([cell, rates]) => [cell, pairedRatio(rates[ours] ?? [], rates.pytorch ?? [])]),
  );
  const peak = (wanted: TrainerName) => trainers.find(({ name }) => name === wanted)?.peakMiB ?? null;
  const [own, peer] = [peak(ours), peak("pytorch")];
  const memory = own === null || peer === null ? null : rounded(own / peer);
  return { tokens_per_second: cells[MAIN_CELL] ?? null, peak_memory: memory, cells };
}
