import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { readTrainedAdapter } from "../../gpu-worker/model/trained-adapter.ts";
import { servedModelsSchema } from "../../schema/api/models.ts";
import type { SteeringProfile } from "../../schema/attributes.ts";
import { WORKER_MODELS_PATH } from "../../schema/wire/generate.ts";
import { plantedCalibration } from "../fixtures/planted-calibration.ts";
import { writeTinyAdapter } from "../fixtures/tiny-adapter.ts";
import { writeTinyModel } from "../fixtures/tiny-llama.ts";
import { startTinyWorker, TINY_SECRET, writeTinyProfile } from "../fixtures/tiny-worker.ts";
import { signedClient } from "./signed-client.ts";

const profile: SteeringProfile = { template: "chatml", attributes: [{ name: "verbosity", default: 2 }] };

it("a worker tells the calibration of each adapter with its own profile, merged or beside the model", {
  timeout: 120_000,
}, async () => {
  const model = await writeTinyModel();
  onTestFinished(model.remove);
  vi.stubEnv("ATTUNE_CACHE_DIR", model.directory);
  const directory = await mkdtemp(join(tmpdir(), "attune-calibrated-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const adapter = await writeTinyAdapter(join(directory, "adapter"), { profile });
  const checkpoint = await openCheckpoint(model.path);
  const hash = await checkpoint.contentHash().finally(checkpoint.close);
  const { identity } = await readTrainedAdapter(adapter);
  const calibration = plantedCalibration(
    { verbosity: { curves: { 1: [0, 1, 2, 3, 4] } } },
    { model: hash, adapter: identity },
  );
  await writeFile(join(adapter, "calibration.json"), JSON.stringify(calibration));
  const other = await writeTinyProfile(model.directory, [{ name: "humor", default: null }]);
  const adapters = [
    { name: "beside", path: adapter },
    { name: "otherwise", path: adapter, profile: other },
  ];

  const worker = await startTinyWorker(model.path, { adapter, adapters, adapterMemory: 16 });
  onTestFinished(() => worker.close(5));
  const response = await signedClient(worker.url, TINY_SECRET).send("GET", WORKER_MODELS_PATH);
  const { data } = servedModelsSchema.parse(await response.json());
  expect(Object.fromEntries(data.map((one) => [one.id, one.calibration]))).toEqual({
    tiny: calibration,
    "tiny-base": null,
    beside: calibration,
    // Measured with another profile than this one.
    otherwise: null,
  });
});
