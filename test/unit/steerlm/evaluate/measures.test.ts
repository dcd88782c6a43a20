import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decidingMeasure, levelMeasure, measureText } from "../../../../gpu-worker/steerlm/evaluate/measures.ts";
import { profanityShare } from "../../../../gpu-worker/steerlm/evaluate/profanity.ts";
import { distinctShare } from "../../../../gpu-worker/steerlm/evaluate/repetition.ts";
import { wordRarity } from "../../../../gpu-worker/steerlm/evaluate/word-rarity.ts";

const SCALE = { verbosity: [15, 40, 80, 140], complexity: [6, 9, 11.5, 14] } satisfies Parameters<
  typeof measureText
>[1];

describe("word rarity", () => {
  test("rises from talk to terms, and is highest for words that nobody knows", () => {
    const talk = wordRarity("I don't know what you want me to do.") ?? 0;
    const terms = wordRarity("Heterogeneous catalysis necessitates thermodynamic characterisation.") ?? 0;
    const noise = wordRarity("xqzv bnfgh wrtpq") ?? 0;
    expect(talk).toBeGreaterThan(1.5);
    expect(talk).toBeLessThan(2.8);
    expect(terms).toBeGreaterThan(talk + 2);
    expect(noise).toBeGreaterThan(terms);
  });

  test("knows no difference between cases, and nothing of a text without words", () => {
    expect(wordRarity("THE CAT")).toBe(wordRarity("the cat"));
    expect(wordRarity("42 …")).toBeNull();
  });
});

describe("profanity", () => {
  test("is the share of words that are profane wherever they stand", () => {
    expect(profanityShare("What a lovely day")).toBe(0);
    expect(profanityShare("What the FUCK, mate?")).toBe(0.25);
    expect(profanityShare("?!")).toBeNull();
  });
});

describe("repetition", () => {
  test("is counted in runs of words, whatever their case and punctuation", () => {
    expect(distinctShare("a b c d. A b c d, a b c d", 4)).toBeCloseTo(4 / 9);
    expect(distinctShare("one two", 4)).toBeNull();
  });

  test("is none in words that are all different, and nearly all in one that never ends", () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 60 }), (words) => {
        const different = Array.from({ length: words }, (_, index) => `w${index}`).join(" ");
        expect(distinctShare(different, 4)).toBe(1);
        expect(distinctShare("again ".repeat(words), 4)).toBeCloseTo(1 / (words - 3));
      }),
    );
  });
});

describe("the measures of an answer", () => {
  test("are levels too, by the edges that the adapter was trained on", () => {
    expect(measureText("word ".repeat(16), SCALE)).toMatchObject({ words: 16, "level.verbosity": 1 });
    expect(measureText("word ".repeat(15), SCALE)).toMatchObject({ words: 15, "level.verbosity": 0 });
  });

  test("of an empty answer are its length and that it repeats nothing", () => {
    expect(measureText("", SCALE)).toEqual({ words: 0, repeated_4grams: 0, "level.verbosity": 0 });
  });

  test("that decide are rules where there are any, else the model that took no part in training", () => {
    const both = new Set(["apm.humor", "judge.humor"] as const);
    expect(decidingMeasure("verbosity", both)).toBe("words");
    expect(decidingMeasure("complexity", both)).toBe("coleman_liau");
    expect(decidingMeasure("humor", both)).toBe("judge.humor");
    expect(decidingMeasure("humor", new Set(["apm.humor"] as const))).toBe("apm.humor");
    expect(decidingMeasure("quality", both)).toBeNull();
    expect(levelMeasure("verbosity", both)).toBe("level.verbosity");
  });
});
