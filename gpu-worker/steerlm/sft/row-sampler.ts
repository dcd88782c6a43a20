import { ATTRIBUTES, type Attribute, type AttributeLevels, LEVELS, type Level } from "../../../schema/attributes.ts";
import type { Random } from "../../engine/random.ts";

/** A row, and the attribute that it is drawn for; null where it has no label. */
export type Drawn = { row: number; focus: Attribute | null };

export type SamplerOptions = {
  /** How often each attribute is the focus, in proportion; without it all that occur are equally. */
  focus?: Partial<Record<Attribute, number>> | undefined;
  /** Whether every level of the focus is equally likely; else every row is. */
  balance: boolean;
};

/** Rows by the level of one attribute, and within it by that of the attribute that goes along with it most. */
type Cells = { level: Level; cells: number[][] }[];

/**
 * Draws rows for training. Balanced, an attribute is drawn, then one of its levels, then a level of the other measured attribute, then a
 * row that has both: words and grade rise together in what people write, and only rows that break the tie teach a model to tell them
 * apart (DESIGN §5).
 */
export class RowSampler {
  readonly #levels: readonly AttributeLevels[];
  readonly #weights: [Attribute, number][];
  readonly #cells: Map<Attribute, Cells>;
  readonly #balance: boolean;

  /**
   * @param levels of each row
   * @throws Error where no row has a label of an attribute in focus
   */
  constructor(levels: readonly AttributeLevels[], { focus, balance }: SamplerOptions) {
    this.#levels = levels;
    this.#balance = balance;
    this.#cells = new Map(ATTRIBUTES.map((attribute) => [attribute, cellsOf(levels, attribute)]));
    this.#weights = ATTRIBUTES.flatMap((attribute): [Attribute, number][] => {
      const weight = focus === undefined ? 1 : (focus[attribute] ?? 0);
      return weight > 0 && this.levelsOf(attribute).length > 0 ? [[attribute, weight]] : [];
    });
    if (balance && this.#weights.length === 0) {
      throw new Error(
        "No reply has a label to balance by. Label replies with --measure, or take all alike: --balance off.",
      );
    }
  }

  /** Levels that occur. */
  levelsOf(attribute: Attribute): Level[] {
    return (this.#cells.get(attribute) ?? []).map(({ level }) => level);
  }

  draw(random: Random): Drawn {
    if (!this.#balance) {
      const row = indexBelow(this.#levels.length, random);
      const own = this.#weights.filter(([attribute]) => this.#levels[row]?.[attribute] !== undefined);
      return { row, focus: weighted(own, random) };
    }
    const focus = weighted(this.#weights, random);
    const levels = focus === null ? [] : (this.#cells.get(focus) ?? []);
    const cells = levels[indexBelow(levels.length, random)]?.cells ?? [];
    const rows = cells[indexBelow(cells.length, random)] ?? [];
    return { row: rows[indexBelow(rows.length, random)] ?? 0, focus };
  }
}

function cellsOf(levels: readonly AttributeLevels[], attribute: Attribute): Cells {
  const other = attribute === "verbosity" ? "complexity" : "verbosity";
  return LEVELS.flatMap((level): Cells => {
    const rows = levels.flatMap((row, index) => (row[attribute] === level ? [index] : []));
    if (rows.length === 0) return [];
    return [{ level, cells: [...Map.groupBy(rows, (row) => levels[row]?.[other]).values()] }];
  });
}

const indexBelow = (length: number, random: Random): number => Math.floor(random() * length);

function weighted(weights: readonly [Attribute, number][], random: Random): Attribute | null {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  let left = random() * total;
  for (const [attribute, weight] of weights) {
    left -= weight;
    if (left < 0) return attribute;
  }
  return weights.at(-1)?.[0] ?? null;
}
