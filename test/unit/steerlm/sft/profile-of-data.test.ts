import { describe, expect, test } from "vitest";
import { SMALL_MODEL_SCALE } from "../../../../gpu-worker/model/measured-levels.ts";
import { profileOfData } from "../../../../gpu-worker/steerlm/sft/profile-of-data.ts";
import { levelsOfThese, steeringProfileSchema } from "../../../../schema/attributes.ts";

describe("the profile of a model trained on data", () => {
  test("has the attributes that occur, in their order, each with its best level or the nearest that occurs", () => {
    const profile = profileOfData(
      [{ verbosity: 4, quality: 4 }, { verbosity: 1, toxicity: 1 }, { quality: 2 }],
      undefined,
    );
    expect(profile).toEqual({
      template: "chatml",
      attributes: [
        { name: "quality", default: 4 },
        { name: "toxicity", default: 1 },
        { name: "verbosity", default: 1 },
      ],
    });
  });

  test("leaves humor and creativity to those who ask for them", () => {
    const { attributes } = profileOfData([{ humor: 0, creativity: 3 }], undefined);
    expect(attributes.map((attribute) => attribute.default)).toEqual([null, null]);
  });

  test("says what measured levels mean, and is one that serving reads", () => {
    const profile = profileOfData([{ verbosity: 2 }], SMALL_MODEL_SCALE);
    expect(profile.measured).toEqual({ verbosity: [15, 40, 80, 140], complexity: [6, 9, 11.5, 14] });
    expect(steeringProfileSchema.parse(JSON.parse(JSON.stringify(profile)))).toEqual(profile);
  });

  test("is none where nothing has a label", () => {
    expect(() => profileOfData([{}, {}], undefined)).toThrow("--measure");
  });

  test("decides which labels are trained", () => {
    const names = profileOfData([{ quality: 4 }], undefined).attributes.map(({ name }) => name);
    expect(levelsOfThese({ quality: 1, humor: 2 }, names)).toEqual({ quality: 1 });
  });
});
