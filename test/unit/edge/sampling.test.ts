import { describe, expect, it } from "vitest";
import { parseChatRequest, samplingOf } from "../../../edge/generations/request.ts";
import type { PresetSampling } from "../../../schema/api/presets.ts";

const MODEL = { temperature: 0.7, top_p: 0.9, top_k: 40, min_p: 0.05 };
const samplingFor = (request: object, preset: PresetSampling = {}) =>
  samplingOf(parseChatRequest({ model: "m", messages: [{ role: "user", content: "Hi" }], ...request }), preset, MODEL);

const PRESET: Required<PresetSampling> = {
  temperature: 0.2,
  top_p: 0.5,
  top_k: 5,
  min_p: 0.1,
  frequency_penalty: 0.3,
  presence_penalty: 0.4,
  repetition_penalty: 1.1,
  seed: 7,
  stop: ["END"],
  max_tokens: 100,
};
const REQUEST: Required<PresetSampling> = {
  temperature: 0,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  frequency_penalty: 0,
  presence_penalty: 0,
  repetition_penalty: 1,
  seed: 0,
  stop: [],
  max_tokens: 1,
};

describe("sampling", () => {
  it("is the model's where neither request nor preset says anything", () => {
    expect(samplingFor({})).toMatchObject({ ...MODEL, frequency_penalty: 0, seed: null, stop: [], max_tokens: null });
  });

  it("is the preset's where the request says nothing, or null", () => {
    expect(samplingFor({}, PRESET)).toMatchObject(PRESET);
    const nothing = Object.fromEntries(Object.keys(PRESET).map((field) => [field, null]));
    expect(samplingFor(nothing, PRESET)).toMatchObject(PRESET);
    expect(samplingFor({}, { temperature: 0.2 })).toMatchObject({ ...MODEL, temperature: 0.2 });
  });

  it("is the request's where it says something, also where that is 0 or empty", () => {
    expect(samplingFor(REQUEST, PRESET)).toMatchObject(REQUEST);
    expect(samplingFor({ max_completion_tokens: 5 }, PRESET)).toMatchObject({ max_tokens: 5 });
  });

  it("is refused where min_tokens is more than the preset lets an answer have", () => {
    const refusal = expect.objectContaining({ code: "invalid_request", param: "min_tokens" });
    expect(() => samplingFor({ min_tokens: 101 }, PRESET)).toThrow(refusal);
    expect(() => samplingFor({ min_tokens: 513 })).toThrow(refusal);
    expect(samplingFor({ min_tokens: 600 }, { max_tokens: 1000 })).toMatchObject({ min_tokens: 600 });
  });
});
