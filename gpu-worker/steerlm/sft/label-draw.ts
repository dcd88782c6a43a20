import type { Message } from "../../../schema/api/chat.ts";
import { type Attribute, type AttributeLevels, attributeLevelsSchema, type Level } from "../../../schema/attributes.ts";
import type { Random } from "../../engine/random.ts";
import { type Dropout, dropAttributes } from "../attribute-dropout.ts";

/** Levels apart that a label line must be to be called another. */
const DISTANCE = 2;

/** What stays of a reply's levels; its focus always does, unless all go. */
export function keptLevels(
  levels: AttributeLevels,
  focus: Attribute | null,
  { keep, all }: Dropout,
  random: Random,
): AttributeLevels {
  const kept = focus === null ? keep : { ...keep, [focus]: 1 };
  return dropAttributes(levels, { keep: kept, all }, random);
}

/** Past answers with a random subset of what they were asked to be. */
export function keptMessages(messages: readonly Message[], dropout: Dropout, random: Random): Message[] {
  return messages.map((message) => {
    if (message.steer === undefined) return message;
    const levels = attributeLevelsSchema.parse(message.steer.attributes);
    return { ...message, steer: { attributes: dropAttributes(levels, dropout, random) } };
  });
}

/**
 * Levels that a reply does not have: another of its focus, two or more away, the rest alike; null where there is none.
 *
 * @param occurring levels of the focus that any reply has: of others a model cannot know what they mean
 */
export function otherLevels(
  levels: AttributeLevels,
  focus: Attribute,
  occurring: readonly Level[],
  random: Random,
): AttributeLevels | null {
  const own = levels[focus];
  if (own === undefined) return null;
  const far = occurring.filter((level) => Math.abs(level - own) >= DISTANCE);
  const level = far[Math.floor(random() * far.length)];
  return level === undefined ? null : { ...levels, [focus]: level };
}

/** The rows' levels, dealt out among them anew: a model trained so must learn no steering. */
export function shuffledLevels<T extends { levels: AttributeLevels }>(rows: readonly T[], random: Random): T[] {
  const levels = rows.map((row) => row.levels);
  for (let last = levels.length - 1; last > 0; last--) {
    const at = Math.floor(random() * (last + 1));
    [levels[last], levels[at]] = [levels[at] ?? {}, levels[last] ?? {}];
  }
  return rows.map((row, index) => ({ ...row, levels: levels[index] ?? {} }));
}
