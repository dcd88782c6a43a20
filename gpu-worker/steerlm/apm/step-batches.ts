import { packRows } from "../training/batches.ts";

/**
 * Rows of each training step, and how they are computed together. Rows are drawn as long as their tokens, without padding, stay within
 * the step's budget; every step has at least one.
 *
 * Which rows a step has depends on the steps before, so they are drawn from the first step on, whichever is asked for first.
 */
export class StepBatches {
  readonly #sequence: Iterator<number, never>;
  readonly #lengthOf: (row: number) => number;
  readonly #budget: { step: number; micro: number };
  readonly #steps: number[][] = [];
  #next: number;

  constructor(
    sequence: Iterator<number, never>,
    lengthOf: (row: number) => number,
    budget: { step: number; micro: number },
  ) {
    this.#sequence = sequence;
    this.#lengthOf = lengthOf;
    this.#budget = budget;
    this.#next = sequence.next().value;
  }

  /** Indexes of rows, batch by batch. */
  at(step: number): number[][] {
    while (this.#steps.length <= step) this.#steps.push(this.#draw());
    const rows = this.#steps[step] ?? [];
    return packRows(rows.map(this.#lengthOf), this.#budget.micro).map((batch) =>
      batch.map((place) => rows[place] ?? 0),
    );
  }

  #draw(): number[] {
    const rows: number[] = [];
    let tokens = 0;
    do {
      rows.push(this.#next);
      tokens += this.#lengthOf(this.#next);
      this.#next = this.#sequence.next().value;
    } while (tokens + this.#lengthOf(this.#next) <= this.#budget.step);
    return rows;
  }
}
