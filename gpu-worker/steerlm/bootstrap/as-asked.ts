import type { Attribute, Level } from "../../../schema/attributes.ts";
import type { Labels } from "../rounding.ts";
import type { KeptReply } from "./kept-replies.ts";

/** A reply, its labels, and what was read off it. */
export type LabelledReply = { one: KeptReply; labels: Labels; read: Labels };

/** The level that an opposite does not have. */
const MIDDLE: Level = 2;

/**
 * Labels replies by what they were asked to be, where what was read does not speak against it: a reply that was asked to be above the middle and is
 * read to be less than the median of the replies to its question, or the other way round, is left out. So a model that orders replies to one
 * question rightly, but whose predictions all lie near the mean, can teach all five levels.
 *
 * @param replies to one question
 * @param names attributes that this is done for; others keep what was read
 */
export function asAsked(
  replies: readonly Omit<LabelledReply, "labels">[],
  names: readonly Attribute[],
): LabelledReply[] {
  const medians = new Map(names.map((name) => [name, medianOf(replies.flatMap(({ read }) => read[name] ?? []))]));
  return replies.flatMap(({ one, read }) => {
    const labels: Labels = { ...read };
    for (const name of names) {
      const [level, value, median] = [one.levels[name], read[name], medians.get(name)];
      if (level === undefined) continue;
      if (value !== undefined && median !== undefined && (value - median) * (level - MIDDLE) < 0) return [];
      labels[name] = level;
    }
    return [{ one, labels, read }];
  });
}

function medianOf(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}
