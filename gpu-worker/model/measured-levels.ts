import { type AttributeLevels, type Edges, LEVELS, type Level, type MeasuredScale } from "../../schema/attributes.ts";
import { colemanLiauGrade, countText } from "./text-statistics.ts";

/** What suits 135 million parameters (DESIGN §5). HelpSteer's annotators reach level 4 of verbosity at some 400 words. */
export const SMALL_MODEL_SCALE: MeasuredScale = { verbosity: [15, 40, 80, 140], complexity: [6, 9, 11.5, 14] };

/** The level whose range holds `value`. */
export function levelBetween(value: number, edges: Edges): Level {
  const index = edges.findIndex((edge) => value <= edge);
  return LEVELS[index] ?? 4;
}

/** Verbosity and complexity as measured. A text without words has no complexity. */
export function measuredLevels(text: string, scale: MeasuredScale): Pick<AttributeLevels, "verbosity" | "complexity"> {
  const counts = countText(text);
  const verbosity = levelBetween(counts.words, scale.verbosity);
  const grade = colemanLiauGrade(counts);
  return grade === undefined ? { verbosity } : { verbosity, complexity: levelBetween(grade, scale.complexity) };
}
