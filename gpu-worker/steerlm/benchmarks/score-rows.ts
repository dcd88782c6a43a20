import { z } from "zod";
import { ATTRIBUTES } from "../../../schema/attributes.ts";
import { readRows } from "../datasets/rows.ts";
import { scalarise, type Weights } from "./scalarisation.ts";
import { ItemCollector, placeOf, type RewardBenchmark, type ScoredItem } from "./scored-item.ts";

const predictedSchema = z.partialRecord(z.enum(ATTRIBUTES), z.number());

/** An answer's score under its id: one number, or the attributes that were predicted, as `attune apm score` writes them. */
const rowSchema = z.union(
  [z.object({ id: z.string(), score: z.number() }), z.object({ id: z.string(), predicted: predictedSchema })],
  { error: "must have an id, and a score or the predicted attributes" },
);

/**
 * The items of one benchmark with their answers' scores.
 *
 * @throws Error that names the file and line of what is no score, and items of which an answer is missing
 */
export async function readScores(
  files: readonly string[],
  benchmark: RewardBenchmark,
  weights: Weights,
): Promise<ScoredItem[]> {
  const collector = new ItemCollector();
  for (const file of files) {
    for await (const row of readRows(file, () => {})) {
      const fail = (reason: string) => new Error(`${file}:${row.line}: ${reason}`);
      if ("reason" in row) throw fail(row.reason);
      const parsed = rowSchema.safeParse(row.value);
      if (!parsed.success) throw fail(parsed.error.issues[0]?.message ?? "is no score");
      const place = placeOf(parsed.data.id);
      if (place === null || place.benchmark !== benchmark) {
        throw fail(
          `the id ${parsed.data.id} is no answer of ${benchmark}: score what \`attune benchmark prepare\` wrote`,
        );
      }
      collector.add(place, "score" in parsed.data ? parsed.data.score : scalarise(parsed.data.predicted, weights));
    }
  }
  const items = collector.items();
  if (items.length === 0) throw new Error(`${files.join(", ")}: there are no scores.`);
  return items;
}
