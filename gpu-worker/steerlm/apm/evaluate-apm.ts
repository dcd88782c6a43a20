import { join } from "node:path";
import { pullModel } from "../../model/pull.ts";
import { saveFile } from "../../model/save-file.ts";
import { lockDirectory } from "../directory-lock.ts";
import { Interruption } from "../interruption.ts";
import { type ReadingFlags, readingOf } from "../reading-options.ts";
import { crossValidate } from "./cross-validate.ts";
import { type EvaluationData, readEvaluationData } from "./evaluation-data.ts";
import { type EvaluationReport, reportText } from "./evaluation-report.ts";
import { measureModel } from "./measure.ts";
import { measuredOf } from "./measured-of.ts";
import type { ApmTrainingFlags } from "./train-apm.ts";

export type EvaluateApmFlags = ReadingFlags & ApmTrainingFlags & { apm?: string; folds?: number; limit?: number };

const INTERRUPTED = "Interrupted. Go on with the same command.";

/**
 * Measures an attribute prediction model, or by cross-validation what one that is trained on the files would be worth. What was computed is
 * kept in `flags.out`, where the same command goes on after an interruption.
 *
 * @throws Error that says what to do
 */
export async function evaluateApm(files: readonly string[], flags: EvaluateApmFlags): Promise<void> {
  if ((flags.apm === undefined) === (flags.folds === undefined))
    throw new Error("Name a model by --apm, or ask for cross-validation by --folds.");
  using interruption = new Interruption(INTERRUPTED);
  const { signal } = interruption;
  const say = (text: string) => console.error(text);
  const data = await readEvaluationData(await readingOf(files, flags, signal), flags.limit);
  const model = await pullModel({ path: flags.model, signal, onNotice: say });
  const lock = await lockDirectory(flags.out);
  try {
    const report = await reportOf(data, model, flags, { signal, say });
    if (report === null) throw new Error(INTERRUPTED);
    await saveFile(join(flags.out, "report.json"), [Buffer.from(`${JSON.stringify(report, null, 2)}\n`)]);
    console.log(reportText(report));
  } finally {
    lock.close();
  }
}

function reportOf(
  data: EvaluationData,
  model: string,
  flags: EvaluateApmFlags,
  told: { signal: AbortSignal; say: (text: string) => void },
): Promise<EvaluationReport | null> {
  const { apm, folds = 0, cores, out } = flags;
  if (apm !== undefined) return measureModel(data, { model, apm, cores, out, ...told });
  return crossValidate(data.answers, { folds, flags, model, measured: measuredOf(flags), ...told });
}
