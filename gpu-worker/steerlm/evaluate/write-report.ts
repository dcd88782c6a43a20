import { join } from "node:path";
import { analyse } from "./analyse.ts";
import { chartsOf, render } from "./charts.ts";
import { ANSWERS_FILE, readEvaluation, SCORES_FILE, writeText } from "./evaluation-directory.ts";
import { readJsonl } from "./jsonl-log.ts";
import type { Report } from "./report-schema.ts";
import { reportText } from "./report-text.ts";
import { scoreSchema, scoresOf } from "./scores.ts";
import { steeredAnswerSchema } from "./steered-answer.ts";

export const REPORT_FILE = "report.md";

/**
 * What the answers in a directory show, of an interrupted evaluation too.
 *
 * @throws Error where the directory holds no evaluation, or no answers
 */
export async function reportOf(directory: string): Promise<Report> {
  const evaluation = await readEvaluation(directory);
  const answers = await readJsonl(join(directory, ANSWERS_FILE), steeredAnswerSchema);
  if (answers.length === 0)
    throw new Error(`${directory} holds no answers yet. Run attune evaluate … --out ${directory}.`);
  const scores = await readJsonl(join(directory, SCORES_FILE), scoreSchema);
  return analyse(evaluation, answers, scoresOf(evaluation, scores));
}

/** Writes report.json, its charts and report.md into the directory. @throws Error as {@link reportOf}, or where the disk does not take them */
export async function writeReport(directory: string): Promise<Report> {
  const report = await reportOf(directory);
  const charts = chartsOf(report);
  await writeText(join(directory, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  for (const chart of charts) await writeText(join(directory, chart.file), await render(chart));
  await writeText(join(directory, REPORT_FILE), `${reportText(report, charts)}\n`);
  return report;
}
