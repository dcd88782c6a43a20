import { type Attribute, type AttributeLevels, attributeSchema, LEVELS, type Level } from "../../schema/attributes.ts";

/** What annotators said, 0–4 each; their mean may lie between two levels. An attribute without a label is left out. */
export type Labels = Partial<Record<Attribute, number>>;

/** Python's `round`, which the paper's preprocessing used: a half goes to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The level nearest to a label; what lies outside of 0–4 takes the nearer end. */
export function levelOf(label: number): Level {
  const rounded = roundHalfEven(label);
  return LEVELS.find((level) => level >= rounded) ?? 4;
}

/** The labels as levels, as label lines hold them. */
export function levelsOf(labels: Labels): AttributeLevels {
  const levels: AttributeLevels = {};
  for (const name of attributeSchema.options) {
    const label = labels[name];
    if (label !== undefined) levels[name] = levelOf(label);
  }
  return levels;
}
