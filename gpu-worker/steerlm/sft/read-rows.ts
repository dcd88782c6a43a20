import { counted, type Reading, readAll, tallyText } from "../datasets/reading.ts";
import type { SftRow } from "./row.ts";
import { type RowOptions, rowsOf, type UntrainedReason } from "./rows.ts";

/**
 * All replies of the files that are trained. Says what was read and what was left out.
 *
 * @throws Error where a file cannot be read, or there is no reply in them
 */
export async function readRows(reading: Reading, options: RowOptions): Promise<SftRow[]> {
  const rows: SftRow[] = [];
  const untrained = new Map<UntrainedReason, number>();
  const tally = await readAll(reading, (conversation) => {
    for (const row of rowsOf(conversation, options)) {
      if (typeof row === "string") untrained.set(row, (untrained.get(row) ?? 0) + 1);
      else rows.push(row);
    }
  });
  const reasons = [...untrained].map(([reason, count]) => `${count.toLocaleString("en")} ${reason}`);
  reading.onNotice(`Read ${tallyText(tally)}.`);
  reading.onNotice(
    `Replies: ${counted(rows.length, "row")}${reasons.length === 0 ? "" : `; left out: ${reasons.join(", ")}`}.`,
  );
  if (rows.length === 0) throw new Error("There is no reply to train. Name files with answers, or raise --max-prompt.");
  return rows;
}
