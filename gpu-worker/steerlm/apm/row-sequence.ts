import type { Attribute } from "../../../schema/attributes.ts";
import type { Random } from "../../engine/random.ts";
import { type Labels, levelOf } from "../rounding.ts";

/** What decides how often a row is drawn. */
export type DrawnRow = { source: string; labels: Labels };

export type SequenceOptions = {
  attributes: readonly Attribute[];
  /** How often each source is drawn from, in proportion; a source without an entry counts 1. Without it every row is drawn as often. */
  sourceWeights?: ReadonlyMap<string, number> | undefined;
  /** Whether answers with rare levels are drawn more often: a level of a drawn attribute in proportion to the root of its answers. */
  balance: boolean;
  random: Random;
};

/** How often each source is drawn from; together 1. */
export function sourceShares(
  rows: readonly DrawnRow[],
  weights: ReadonlyMap<string, number> | undefined,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { source } of rows) counts.set(source, (counts.get(source) ?? 0) + 1);
  const weighted = [...counts].map(([source, count]): [string, number] => [
    source,
    weights === undefined ? count : (weights.get(source) ?? 1),
  ]);
  const total = weighted.reduce((sum, [, weight]) => sum + weight, 0);
  return new Map(weighted.map(([source, weight]) => [source, weight / total]));
}

/**
 * Indexes of rows in the order they are trained on, without end. Within a source (or a level of it) every row comes once before one comes
 * again.
 */
export function* rowSequence(
  rows: readonly DrawnRow[],
  { attributes, sourceWeights, balance, random }: SequenceOptions,
): Generator<number, never> {
  const shares = sourceShares(rows, sourceWeights);
  const sources = [...shares].map(([source, weight]) => {
    const indexes = [...rows.keys()].filter((index) => rows[index]?.source === source);
    return {
      weight,
      whole: new Deck(indexes, random),
      cells: balance ? levelCells(rows, indexes, attributes, random) : [],
    };
  });
  for (;;) {
    const { whole, cells } = drawWeighted(sources, random);
    if (cells.length === 0) yield whole.next();
    else yield drawWeighted(cells[Math.floor(random() * cells.length)] ?? [], random).deck.next();
  }
}

type Cell = { weight: number; deck: Deck };

/** For each attribute that has labels among the rows its levels. */
function levelCells(
  rows: readonly DrawnRow[],
  indexes: number[],
  attributes: readonly Attribute[],
  random: Random,
): Cell[][] {
  return attributes.flatMap((attribute) => {
    const byLevel = Map.groupBy(indexes, (index) => {
      const label = rows[index]?.labels[attribute];
      return label === undefined ? undefined : levelOf(label);
    });
    byLevel.delete(undefined);
    if (byLevel.size === 0) return [];
    return [[...byLevel.values()].map((found) => ({ weight: Math.sqrt(found.length), deck: new Deck(found, random) }))];
  });
}

function drawWeighted<T extends { weight: number }>(choices: readonly T[], random: Random): T {
  let left = random() * choices.reduce((sum, { weight }) => sum + weight, 0);
  const found = choices.find(({ weight }) => {
    left -= weight;
    return left < 0;
  });
  const chosen = found ?? choices.findLast(({ weight }) => weight > 0);
  if (chosen === undefined) throw new Error("No source has a weight above 0.");
  return chosen;
}

/** Draws without putting back, and shuffles anew when all are drawn. */
class Deck {
  readonly #indexes: number[];
  readonly #random: Random;
  #drawn: number;

  constructor(indexes: readonly number[], random: Random) {
    this.#indexes = [...indexes];
    this.#random = random;
    this.#drawn = indexes.length;
  }

  next(): number {
    if (this.#drawn >= this.#indexes.length) {
      shuffle(this.#indexes, this.#random);
      this.#drawn = 0;
    }
    const index = this.#indexes[this.#drawn++];
    if (index === undefined) throw new Error("There are no rows to draw from.");
    return index;
  }
}

/** Fisher and Yates. */
function shuffle(values: number[], random: Random): void {
  for (let last = values.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [values[last], values[other]] = [values[other] ?? 0, values[last] ?? 0];
  }
}
