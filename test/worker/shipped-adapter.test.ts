import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openCheckpoint } from "../../gpu-worker/model/checkpoint.ts";
import { pullModel } from "../../gpu-worker/model/pull.ts";
import { readTrainedAdapter } from "../../gpu-worker/model/trained-adapter.ts";
import { chosenAdapter, SHIPPED_ADAPTER } from "../../gpu-worker/models/shipped.ts";
import { calibrationSchema } from "../../schema/calibration.ts";

beforeEach(() => {
  vi.stubEnv("ATTUNE_MODEL", undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

test("who names nothing gets the adapter that ships, on the model that it was trained on", () => {
  expect(chosenAdapter({})).toBe(SHIPPED_ADAPTER);
});

test("a model of one's own is served as it is", () => {
  expect(chosenAdapter({ model: "own.gguf" })).toBeUndefined();
  vi.stubEnv("ATTUNE_MODEL", "own.gguf");
  expect(chosenAdapter({})).toBeUndefined();
});

test("an adapter that is named is taken, and none is none", () => {
  expect(chosenAdapter({ model: "own.gguf", adapter: "mine" })).toBe("mine");
  expect(chosenAdapter({ adapter: "none" })).toBeUndefined();
});

test("the adapter that ships is calibrated, for these very weights and this very adapter", async () => {
  const { identity, profile } = await readTrainedAdapter(SHIPPED_ADAPTER);
  const text = await readFile(join(SHIPPED_ADAPTER, "calibration.json"), "utf8");
  const calibration = calibrationSchema.parse(JSON.parse(text));
  expect(calibration.adapter).toBe(identity);
  expect(calibration.default_strength).toBe(profile.strength);
  const checkpoint = await openCheckpoint(await pullModel());
  try {
    expect(calibration.model).toBe(await checkpoint.contentHash());
  } finally {
    await checkpoint.close();
  }
});

test("the adapter that ships can be steered in length and difficulty", async () => {
  const text = await readFile(join(SHIPPED_ADAPTER, "calibration.json"), "utf8");
  const { attributes } = calibrationSchema.parse(JSON.parse(text));
  expect(attributes.verbosity?.steerable).toBe(true);
  expect(attributes.complexity?.steerable).toBe(true);
});
