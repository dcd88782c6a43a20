import { describe, expect, test } from "vitest";
import { instructionInWords } from "../../../gpu-worker/model/instruction-in-words.ts";
import { labelLine } from "../../../gpu-worker/model/label-line.ts";
import { ATTRIBUTES, LEVELS, type SteeringProfile } from "../../../schema/attributes.ts";

const profile: SteeringProfile = {
  template: "chatml",
  attributes: [
    { name: "verbosity", default: 2 },
    { name: "quality", default: 4 },
  ],
};

describe("labelLine", () => {
  test("keeps the profile's order, not the caller's", () => {
    expect(labelLine({ quality: 4, verbosity: 0 }, profile)).toBe("verbosity:0,quality:4");
  });

  test("leaves out what has no level and what the profile does not know", () => {
    expect(labelLine({ quality: 0, verbosity: null, humor: 3 }, profile)).toBe("quality:0");
    expect(labelLine({ humor: 3 }, profile)).toBe("");
    expect(labelLine({}, profile)).toBe("");
  });
});

describe("instructionInWords", () => {
  test("says every level it is given, in the order of the attributes", () => {
    expect(instructionInWords({ verbosity: 0, humor: 4 })).toBe(
      "How to answer: be hilarious; answer in one short sentence.",
    );
  });

  test("says nothing where nothing is asked for", () => {
    expect(instructionInWords({})).toBe("");
  });

  test("says each level of each attribute differently", () => {
    const all = ATTRIBUTES.flatMap((name) => LEVELS.map((level) => instructionInWords({ [name]: level })));
    expect(new Set(all).size).toBe(ATTRIBUTES.length * LEVELS.length);
  });
});
