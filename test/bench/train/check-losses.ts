import { type Cell, seededBatch } from "./batches.ts";
import type { Trainer, TrainerName } from "./trainers.ts";

/**
 * Furthest that a loss may be from PyTorch's, as a share of it: before the first step, and later. Adam's first steps are as long where a
 * gradient is next to nothing, and there rounding decides the direction.
 */
const TOLERANCES: [TrainerName, first: number, later: number][] = [
  ["attune fp32", 0.001, 0.001],
  ["attune int8", 0.01, 0.03],
];

/** Each trainer's loss before each of the steps. */
export type Losses = Partial<Record<TrainerName, number[]>>;

const PLAIN: Cell = { name: "check", rows: 2, tokens: 96, contrast: false };
const CONTRAST: Cell = { ...PLAIN, contrast: true };

/**
 * Takes the same three steps everywhere, the last over pairs: the first loss compares the forward pass, the others gradient and optimiser
 * too.
 *
 * @throws Error where a trainer computes something else than PyTorch
 */
export async function checkLosses(trainers: ReadonlyMap<TrainerName, Trainer>): Promise<Losses> {
  const losses: Losses = {};
  const batches = [PLAIN, PLAIN, CONTRAST].map((cell) => seededBatch(cell, 1).batch);
  for (const [name, trainer] of trainers) {
    const found: number[] = [];
    for (const batch of batches) found.push(await trainer.measure({ kind: "loss", batch, steps: 1 }));
    losses[name] = found;
    console.log(`${name}: losses ${found.map((loss) => loss.toFixed(5)).join(" ")}`);
  }
  for (const [name, first, later] of TOLERANCES) {
    for (const [step, loss] of (losses[name] ?? []).entries()) {
      const expected = losses.pytorch?.[step] ?? Number.NaN;
      const tolerance = step === 0 ? first : later;
      if (!(Math.abs(loss - expected) <= tolerance * expected)) {
        throw new Error(`Before step ${step + 1}, ${name} has a loss of ${loss} where PyTorch has ${expected}.`);
      }
    }
  }
  return losses;
}
