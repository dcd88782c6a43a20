import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Calibration } from "../../../schema/calibration.ts";
import { parseProfile } from "../../model/steering-profile.ts";
import { readTrainedAdapter } from "../../model/trained-adapter.ts";
import { calibrationOf } from "./calibrate.ts";
import { writeText } from "./evaluation-directory.ts";
import type { Report } from "./report-schema.ts";
import { reportOf } from "./write-report.ts";

const CALIBRATION_FILE = "calibration.json";

/**
 * Writes the calibration that evaluations give into their adapter, and the default strength into the adapter's profile.
 *
 * @param directories of the evaluations; the first decides on the default strength
 * @param adapter directory of the adapter that was evaluated
 * @throws Error where it is another adapter, or they give no calibration
 */
export async function writeCalibration(
  directories: readonly [string, ...string[]],
  adapter: string,
): Promise<Calibration> {
  const { identity } = await readTrainedAdapter(adapter);
  const reportFor = async (directory: string): Promise<Report> => {
    const report = await reportOf(directory);
    if (report.evaluation.answering.adapter === identity) return report;
    throw new Error(
      `${directory} evaluated another adapter than ${adapter}, or this one before it was changed. Evaluate it.`,
    );
  };
  const [first, ...others] = directories;
  const calibration = calibrationOf(await reportFor(first), ...(await Promise.all(others.map(reportFor))));
  const profilePath = join(adapter, "profile.json");
  const profile = parseProfile(profilePath, await readFile(profilePath, "utf8"));
  // Calibration first: alone it is of use, and the profile changes what requests get.
  await writeText(join(adapter, CALIBRATION_FILE), `${JSON.stringify(calibration, null, 2)}\n`);
  const { strength: _, against: __, ...rest } = profile;
  const { default_strength: strength, method } = calibration;
  // Requests cannot ask for the held levels by default: they have none.
  const against = method.against === "opposite" ? method.against : undefined;
  await writeText(profilePath, `${JSON.stringify({ ...rest, strength, against }, null, 2)}\n`);
  return calibration;
}
