import { ATTRIBUTES, type Attribute, type AttributeLevels } from "../../schema/attributes.ts";

export type Dropout = {
  /** How likely each attribute stays; without an entry it always does. */
  keep: Partial<Record<Attribute, number>>;
  /** How likely all of them go, which teaches the model the unconditioned answer that guidance needs (DESIGN §5). */
  all: number;
};

/**
 * A random subset of the levels, so that a model learns to obey any subset.
 *
 * @param draw a number in [0, 1) for each attribute and one for `all`, such as `unitHash` of seed, epoch, row and that name:
 *   whether one attribute stays never depends on which others the row has.
 */
export function dropAttributes(
  levels: AttributeLevels,
  { keep, all }: Dropout,
  draw: (name: Attribute | "all") => number,
): AttributeLevels {
  if (draw("all") < all) return {};
  const kept: AttributeLevels = {};
  for (const name of ATTRIBUTES) {
    const level = levels[name];
    if (level !== undefined && draw(name) < (keep[name] ?? 1)) kept[name] = level;
  }
  return kept;
}
