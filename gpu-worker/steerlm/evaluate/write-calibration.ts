import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Calibration } from "../../../schema/calibration.ts";
import { parseProfile } from "../../model/steering-profile.ts";
import { readTrainedAdapter } from "../../model/trained-adapter.ts";
import { calibrationOf } from "./calibrate.ts";
import { writeText } from "./evaluation-directory.ts";
import { reportOf } from "./write-report.ts";

const CALIBRATION_FILE = "calibration.json";

/**
 * Writes the calibration that an evaluation gives into its adapter, and the default strength into the adapter's profile.
 *
 * @param directory of the evaluation
 * @param adapter directory of the adapter that was evaluated
 * @throws Error where it is another adapter, or the evaluation gives no calibration
 */
export async function writeCalibration(directory: string, adapter: string): Promise<Calibration> {
  const calibration = calibrationOf(await reportOf(directory));
  const { identity } = await readTrainedAdapter(adapter);
  if (identity !== calibration.adapter) {
    throw new Error(
      `${directory} evaluated another adapter than ${adapter}, or this one before it was changed. Evaluate it.`,
    );
  }
  const profilePath = join(adapter, "profile.json");
  const profile = parseProfile(profilePath, await readFile(profilePath, "utf8"));
  // Calibration first: alone it is of use, and the profile changes what requests get.
  await writeText(join(adapter, CALIBRATION_FILE), `${JSON.stringify(calibration, null, 2)}\n`);
  const { strength: _, ...rest } = profile;
  await writeText(profilePath, `${JSON.stringify({ ...rest, strength: calibration.default_strength }, null, 2)}\n`);
  return calibration;
}
