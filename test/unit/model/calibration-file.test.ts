import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCalibration } from "../../../gpu-worker/model/calibration-file.ts";
import { openCheckpoint } from "../../../gpu-worker/model/checkpoint.ts";
import { readTrainedAdapter } from "../../../gpu-worker/model/trained-adapter.ts";
import type { SteeringProfile } from "../../../schema/attributes.ts";
import { plantedCalibration } from "../../fixtures/planted-calibration.ts";
import { writeTinyAdapter } from "../../fixtures/tiny-adapter.ts";
import { writeTinyModel } from "../../fixtures/tiny-llama.ts";

const PROFILE: SteeringProfile = { template: "chatml", attributes: [{ name: "verbosity", default: 2 }] };
const CURVES = { verbosity: { curves: { 1: [0, 1, 2, 3, 4] } } };

let model: Awaited<ReturnType<typeof writeTinyModel>>;
let directory: string;
let calibrated: string;
let hashes: { model: string; adapter: string };

/** A copy of the calibrated adapter, under a name. */
async function copied(name: string): Promise<string> {
  await cp(calibrated, join(directory, name), { recursive: true });
  return join(directory, name);
}

async function read(adapter: string) {
  const notices: string[] = [];
  const calibration = await readCalibration(adapter, model.path, (text) => notices.push(text));
  return { calibration, notices };
}

beforeAll(async () => {
  model = await writeTinyModel();
  directory = await mkdtemp(join(tmpdir(), "attune-calibration-"));
  calibrated = await writeTinyAdapter(join(directory, "adapter"), { profile: PROFILE });
  const checkpoint = await openCheckpoint(model.path);
  const { identity: adapter } = await readTrainedAdapter(calibrated);
  hashes = { model: await checkpoint.contentHash(), adapter };
  await checkpoint.close();
  await writeFile(join(calibrated, "calibration.json"), JSON.stringify(plantedCalibration(CURVES, hashes)));
}, 60_000);
afterAll(async () => {
  await model.remove();
  await rm(directory, { recursive: true });
});

describe("the calibration of an adapter", () => {
  test("is read from beside it, whatever strength the profile says since", async () => {
    const adapter = await copied("stronger");
    await writeFile(join(adapter, "profile.json"), JSON.stringify({ ...PROFILE, strength: 2 }));
    for (const one of [calibrated, adapter]) {
      expect(await read(one)).toEqual({ calibration: plantedCalibration(CURVES, hashes), notices: [] });
    }
  });

  test("is none where nobody wrote one", async () => {
    const adapter = await copied("plain");
    await rm(join(adapter, "calibration.json"));
    expect(await read(adapter)).toEqual({ calibration: null, notices: [] });
  });

  test("is left aside, and that is said, where another adapter or another model was measured", async () => {
    const retrained = await copied("retrained");
    const profile = { ...PROFILE, attributes: [{ name: "verbosity", default: null }] };
    await writeFile(join(retrained, "profile.json"), JSON.stringify(profile));
    expect(await read(retrained)).toEqual({
      calibration: null,
      notices: [expect.stringMatching(/another adapter was measured.*calibrate it again/)],
    });
    const foreign = await copied("foreign");
    const other = plantedCalibration(CURVES, { ...hashes, model: "another" });
    await writeFile(join(foreign, "calibration.json"), JSON.stringify(other));
    expect((await read(foreign)).notices).toEqual([expect.stringMatching(/another model was measured/)]);
  });

  test("that is broken is refused, with the field that is", async () => {
    const adapter = await copied("broken");
    await writeFile(join(adapter, "calibration.json"), JSON.stringify({ version: 2 }));
    await expect(read(adapter)).rejects.toThrow(/calibration\.json is not a calibration: version/);
  });
});
