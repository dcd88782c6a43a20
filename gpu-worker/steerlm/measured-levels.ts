import { z } from "zod";
import { type AttributeLevels, LEVELS, type Level } from "../../schema/attributes.ts";
import { colemanLiauGrade, countText } from "./text-statistics.ts";

const edgesSchema = z
  .tuple([z.number(), z.number(), z.number(), z.number()], { error: "must be four numbers" })
  .refine((edges) => edges.every((edge, index) => index === 0 || edge > (edges[index - 1] ?? edge)), {
    error: "must rise",
  });
/** The highest value of levels 0, 1, 2 and 3; whatever lies above the last is level 4. */
export type Edges = z.infer<typeof edgesSchema>;

/** What a level of the attributes that are measured rather than judged means. Stored with the model that was trained on it. */
export const measuredScaleSchema = z.strictObject({
  /** Words of the answer. */
  verbosity: edgesSchema,
  /** Coleman–Liau grade of the answer. */
  complexity: edgesSchema,
});
export type MeasuredScale = z.infer<typeof measuredScaleSchema>;

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
