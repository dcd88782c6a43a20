import {
  ATTRIBUTES,
  type Attribute,
  type AttributeLevels,
  BEST_LEVELS,
  LEVELS,
  type Level,
  type MeasuredScale,
  type SteeringProfile,
} from "../../../schema/attributes.ts";

/** Left out of the label line where nobody asks for them: what a good answer has of these depends on the question. */
const UNASKED: readonly Attribute[] = ["humor", "creativity"];

/**
 * The profile of a model trained on such rows: the attributes that occur, each with its best level as default or what occurs that is
 * nearest to it.
 *
 * @param template how the label line is written
 * @throws Error where no row has a label
 */
export function profileOfData(
  rows: Iterable<AttributeLevels>,
  measured: MeasuredScale | undefined,
  template: SteeringProfile["template"] = "chatml",
): SteeringProfile {
  const occurring = new Map<Attribute, Set<Level>>();
  for (const levels of rows) {
    for (const name of ATTRIBUTES) {
      const level = levels[name];
      if (level !== undefined) occurring.set(name, (occurring.get(name) ?? new Set()).add(level));
    }
  }
  const attributes = ATTRIBUTES.flatMap((name) => {
    const levels = occurring.get(name);
    return levels === undefined
      ? []
      : [{ name, default: UNASKED.includes(name) ? null : nearest(BEST_LEVELS[name], levels) }];
  });
  if (attributes.length === 0) throw new Error("No reply has a label to condition on. Label replies with --measure.");
  return { template, ...(measured && { measured }), attributes };
}

const nearest = (wanted: Level, levels: ReadonlySet<Level>): Level | null =>
  LEVELS.filter((level) => levels.has(level)).sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0] ?? null;
