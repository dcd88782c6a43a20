import { ATTRIBUTES, LEVELS } from "../../../schema/attributes.ts";
import type { Evaluation } from "./evaluation.ts";
import { decidingMeasure, levelMeasure, MEASURES, type Measure, type Measures } from "./measures.ts";
import { Observations } from "./observations.ts";
import { combinationsOf, type LabelLine, labelLineOf, questionsOf, type Sweep, sweepsOf, UNSTEERED } from "./plan.ts";
import type { CombinationReport, Leakage, Report, SweepReport } from "./report-schema.ts";
import { accuracyOf, differenceOf, meanOf, responseOf, shareOf, withinOne } from "./response.ts";
import { questionKey, type SteeredAnswer } from "./steered-answer.ts";

/**
 * What the answers of an evaluation show. A pure function: the same answers and scores give the same report, and an interrupted run
 * reports on the prompts it came to.
 *
 * @param scores what models said of the answers, by the question's key
 */
export function analyse(
  evaluation: Evaluation,
  answers: readonly SteeredAnswer[],
  scores: ReadonlyMap<string, Measures>,
): Report {
  const asked = new Set(questionsOf(evaluation).map(questionKey));
  const known = answers.filter((answer) => asked.has(questionKey(answer)));
  const observations = new Observations(known, evaluation.scale, scores);
  const available = new Set(
    MEASURES.filter((measure) => [...scores.values()].some((one) => one[measure] !== undefined)),
  );
  const base = observations.of(UNSTEERED);
  const sweeps = sweepsOf(evaluation).map((sweep): SweepReport => {
    const levels = LEVELS.map((level) => observations.of(labelLineOf(sweep, level, evaluation)));
    const inLevels = levelMeasure(sweep.attribute, available);
    return {
      ...sweep,
      deciding: decidingMeasure(sweep.attribute, available),
      measures: byMeasure((measure) => responseOf(levels, measure)),
      accuracy: inLevels && accuracyOf(levels, inLevels),
      against_base: levels.map((observed) => byMeasure((measure) => differenceOf(observed, base, measure))),
    };
  });
  const { prompts, ...rest } = evaluation;
  return {
    version: 1,
    evaluation: rest,
    prompts: prompts.length,
    answers: known.length,
    asked: asked.size,
    cut: known.length === 0 ? 0 : shareOf(known, ({ finish }) => finish === "length"),
    quality_measure: levelMeasure("quality", available),
    base: byMeasure((measure) => meanOf(base, measure)),
    sweeps,
    leakage: leakagesOf(sweeps, available),
    combinations: combinationsOf(evaluation).map((line) =>
      combinationOf(line, { evaluation, observations, available }),
    ),
  };
}

type Known = { evaluation: Evaluation; observations: Observations; available: ReadonlySet<Measure> };

/** What came of levels that were asked for together, beside what comes of each alone. */
function combinationOf(line: LabelLine, { evaluation, observations, available }: Known): CombinationReport {
  const { strength, levels } = line;
  const observed = observations.of(line);
  return {
    strength,
    levels,
    attributes: ATTRIBUTES.flatMap((attribute) => {
      const asked = levels[attribute];
      if (asked === undefined) return [];
      const deciding = decidingMeasure(attribute, available);
      const inLevels = levelMeasure(attribute, available);
      const own: Sweep = { system: "adapter", strength, attribute, held: evaluation.held[attribute] ?? {} };
      const alone = observations.of(labelLineOf(own, asked, evaluation));
      return {
        attribute,
        asked,
        measured: deciding && meanOf(observed, deciding),
        alone: deciding && meanOf(alone, deciding),
        within_one: inLevels && withinOne(observed, inLevels, asked),
      };
    }),
  };
}

/** What `of` knows of each measure. */
function byMeasure<T>(of: (measure: Measure) => T | null): Partial<Record<Measure, T>> {
  const found: Partial<Record<Measure, T>> = {};
  for (const measure of MEASURES) {
    const value = of(measure);
    if (value !== null) found[measure] = value;
  }
  return found;
}

/** One matrix for each system and strength. */
function leakagesOf(sweeps: readonly SweepReport[], available: ReadonlySet<Measure>): Leakage[] {
  const columns = ATTRIBUTES.flatMap((attribute) => {
    const measure = levelMeasure(attribute, available);
    return measure === null ? [] : [{ attribute, measure }];
  });
  const kinds = new Map(sweeps.map(({ system, strength }) => [`${system} ${strength}`, { system, strength }]));
  return [...kinds.values()].map(({ system, strength }): Leakage => {
    const rows = sweeps.filter((sweep) => sweep.system === system && sweep.strength === strength);
    const matrix = (part: "slope" | "rho") =>
      rows.map(({ measures }) => columns.map(({ measure }) => measures[measure]?.[part]?.value ?? null));
    const slope = matrix("slope");
    return {
      system,
      strength,
      rows: rows.map(({ attribute }) => attribute),
      columns: columns.map(({ attribute }) => attribute),
      slope,
      rho: matrix("rho"),
      diagonal_largest: rows.map((row, index) =>
        isLargest(
          slope[index] ?? [],
          columns.findIndex(({ attribute }) => attribute === row.attribute),
        ),
      ),
    };
  });
}

/** Whether the entry at `index` is there and moves more than any other of its row. */
function isLargest(row: readonly (number | null)[], index: number): boolean {
  const own = row[index] ?? null;
  return own !== null && row.every((value, other) => other === index || own > Math.abs(value ?? 0));
}
