import type { MeasuredScale } from "../../../schema/attributes.ts";
import type { ReadingFlags } from "../reading-options.ts";

/** What attributes mean that `--measure` measures: they are never learnt. */
export const measuredOf = ({ measure, verbosityEdges, complexityEdges }: ReadingFlags): Partial<MeasuredScale> =>
  measure === undefined ? {} : { verbosity: verbosityEdges, complexity: complexityEdges };
