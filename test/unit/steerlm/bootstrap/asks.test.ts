import { expect, test } from "vitest";
import { asksOf } from "../../../../gpu-worker/steerlm/bootstrap/asks.ts";

const PLAIN = { sweep: [], strength: 1, away: [] };

test("a question is asked for its combination, and nothing steers away from anything", () => {
  expect(asksOf({ quality: 4 }, PLAIN)).toEqual([{ levels: { quality: 4 }, strength: 1, against: {} }]);
});

test("swept, it is asked for every level of the swept attributes, the others as the combination has them", () => {
  const levels = asksOf({ quality: 4, humor: 1 }, { ...PLAIN, sweep: ["humor"] }).map((ask) => ask.levels);
  expect(levels).toEqual([0, 1, 2, 3, 4].map((humor) => ({ quality: 4, humor })));
  expect(asksOf({ quality: 4 }, { ...PLAIN, sweep: ["humor", "verbosity"] })).toHaveLength(25);
});

test("strength steers away from no label line", () => {
  expect(asksOf({ quality: 4 }, { ...PLAIN, strength: 2 })).toEqual([
    { levels: { quality: 4 }, strength: 2, against: {} },
  ]);
});

test("strength steers away from the opposite of one attribute alone, and costs nothing where there is none", () => {
  const asks = asksOf({ verbosity: 2 }, { sweep: ["complexity"], strength: 3, away: ["complexity"] });
  expect(asks.map(({ levels, strength, against }) => [levels.complexity, strength, against])).toEqual([
    [0, 3, { verbosity: 2, complexity: 4 }],
    [1, 3, { verbosity: 2, complexity: 3 }],
    [2, 1, {}],
    [3, 3, { verbosity: 2, complexity: 1 }],
    [4, 3, { verbosity: 2, complexity: 0 }],
  ]);
});
