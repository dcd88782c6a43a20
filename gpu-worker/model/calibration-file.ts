import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Calibration, calibrationSchema } from "../../schema/calibration.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { parseJsonFile } from "./json-file.ts";
import { readTrainedAdapter } from "./trained-adapter.ts";

const CALIBRATION_FILE = "calibration.json";

/**
 * The calibration that lies in an adapter. It holds for the adapter and the weights that were measured, and for no others.
 *
 * @param directory of a LoRA in PEFT's format
 * @param model path of the weights that it adapts
 * @param onNotice told where there is one that does not apply
 * @returns `null` where there is none that applies
 * @throws Error that names the file and what is wrong with it
 */
export async function readCalibration(
  directory: string,
  model: string,
  onNotice: (text: string) => void,
): Promise<Calibration | null> {
  const path = join(directory, CALIBRATION_FILE);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
  if (text === null) return null;
  const calibration = parseJsonFile(path, text, calibrationSchema, "a calibration");
  const { identity } = await readTrainedAdapter(directory);
  const checkpoint = await openCheckpoint(model);
  const hash = await checkpoint.contentHash().finally(checkpoint.close);
  const changed = calibration.model === hash ? (calibration.adapter === identity ? null : "adapter") : "model";
  if (changed === null) return calibration;
  onNotice(
    `${path} is left aside: another ${changed} was measured than this one. Evaluate it with attune evaluate, and calibrate it again.`,
  );
  return null;
}
