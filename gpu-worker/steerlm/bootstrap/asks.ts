import { type Attribute, type AttributeLevels, areSameLevels, LEVELS, oppositeOf } from "../../../schema/attributes.ts";

/** What a reply shall be: its label line, and how strongly it is held to. */
export type Ask = {
  levels: AttributeLevels;
  /** Guidance factor γ; 1 is none. */
  strength: number;
  /** Levels of the line that strength steers away from; empty: no label line. */
  against: AttributeLevels;
};

export type Asking = {
  /** Attributes that are asked for at each of their levels, whatever the combination has. */
  sweep: readonly Attribute[];
  strength: number;
  /** Attributes whose opposite level (4 − level) strength steers away from, the others being held; none: away from no label line. */
  away: readonly Attribute[];
};

/**
 * What one question is asked for: the combination itself, or, where attributes are swept, it at every combination of their levels. Answers to
 * one question that differ in an attribute teach it; those to different questions mostly teach what the questions are about.
 */
export function asksOf(combination: AttributeLevels, { sweep, strength, away }: Asking): [Ask, ...Ask[]] {
  const ask = (levels: AttributeLevels): Ask => {
    const against = away.length === 0 ? {} : oppositeOf(levels, away);
    return strength === 1 || areSameLevels(levels, against)
      ? { levels, strength: 1, against: {} }
      : { levels, strength, against };
  };
  let swept: AttributeLevels[] = [combination];
  for (const name of sweep) swept = swept.flatMap((levels) => LEVELS.map((level) => ({ ...levels, [name]: level })));
  const [first = combination, ...others] = swept;
  return [ask(first), ...others.map(ask)];
}
