import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choiceSeed } from "../../../gpu-worker/server/choice-seed.ts";
import { countPromptTokens } from "../../../gpu-worker/server/choices.ts";

describe("the seed of a choice", () => {
  const seeds = (seed: number, count = 16) => Array.from({ length: count }, (_, index) => choiceSeed(seed, index));

  it("is the request's for the first, and for each other one of its own, always the same", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (seed) => {
        expect(seeds(seed)[0]).toBe(seed);
        expect(new Set(seeds(seed).slice(1)).size).toBe(15);
        expect(seeds(seed)).toEqual(seeds(seed));
        // What any engine takes.
        for (const other of seeds(seed).slice(1)) expect(other).toSatisfy((value) => value >= 0 && value < 2 ** 31);
      }),
    );
  });

  it("is not that of a request with a seed nearby", () => {
    const all = Array.from({ length: 100 }, (_, seed) => seeds(seed)).flat();
    expect(new Set(all).size).toBe(all.length);
  });

  it("is none where the request has none", () => {
    expect(choiceSeed(null, 3)).toBeNull();
  });
});

describe("the tokens of several prompts", () => {
  it("count a shared beginning once", () => {
    expect(countPromptTokens([[1, 2, 3]])).toBe(3);
    expect(
      countPromptTokens([
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
      ]),
    ).toBe(3);
    expect(countPromptTokens([[1, 2, 3], [1, 2, 4, 5], [1, 2, 4, 6], [9]])).toBe(3 + 2 + 1 + 1);
  });
});
