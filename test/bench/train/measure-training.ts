import { rounded } from "../engine/statistics.ts";
import { seededBatch } from "./batches.ts";
import type { TrainPlan } from "./options.ts";
import type { Trainer, TrainerName } from "./trainers.ts";

/** Tokens a second of each trainer in each cell, by round. */
export type TrainingSamples = Record<string, Partial<Record<TrainerName, number[]>>>;

/**
 * Every cell, round by round, each trainer once a round on the same batch and every other round in reverse: neighbours in time are
 * compared, and none is always first.
 *
 * @param late whether time is up; what is left is then not measured
 */
export async function measureTraining(
  trainers: ReadonlyMap<TrainerName, Trainer>,
  { cells, pairs, steps }: TrainPlan,
  late: () => boolean,
): Promise<TrainingSamples> {
  const samples: TrainingSamples = {};
  for (const [index, cell] of cells.entries()) {
    const ofCell: TrainingSamples[string] = {};
    for (let round = -1; round < pairs && !late(); round++) {
      const { batch, tokens } = seededBatch(cell, 100 * (index + 1) + round);
      const order = round % 2 === 0 ? [...trainers] : [...trainers].reverse();
      for (const [name, trainer] of order) {
        const seconds = await trainer.measure({ kind: "seconds", batch, steps });
        if (round >= 0) ofCell[name] = [...(ofCell[name] ?? []), (tokens * steps) / seconds];
      }
    }
    samples[cell.name] = ofCell;
    const told = Object.entries(ofCell).map(([name, rates]) => `${name} ${rates.map(rounded).join(" ")}`);
    console.log(`${cell.name}: ${told.join(" · ")} tok/s`);
  }
  return samples;
}
