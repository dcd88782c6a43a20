import { describe, expect, test } from "vitest";
import {
  colemanLiauGrade,
  countText,
  countWords,
  fleschKincaidGrade,
  syllablesOf,
} from "../../../gpu-worker/model/text-statistics.ts";

describe("countText", () => {
  test("counts a text as by hand", () => {
    // The(1) cat(1) sat(1) on(1) the(1) table(2). It(1) was(1) happy(2)!
    expect(countText("The cat sat on the table. It was happy!")).toEqual({
      words: 9,
      sentences: 2,
      letters: 3 + 3 + 3 + 2 + 3 + 5 + 2 + 3 + 5,
      syllables: 11,
    });
  });

  test("takes well-known, don't and 3.14 for one word each, and a dash for none", () => {
    expect(countWords("A well-known number - don't forget 3.14!")).toBe(6);
  });

  test.each([
    ["Dr. Smith met Mrs. Jones, e.g. on Monday.", 1],
    ["Pi is 3.14 or so.", 1],
    ['He said "Stop." Then he left.', 2],
    ["Really?! Yes...", 2],
    ["No full stop", 1],
    ["Steps\n\n1. Boil water\n2. Add tea. Wait.\n", 4],
    ["---\n***", 0],
    ["", 0],
  ])("%j is %i sentences", (text, sentences) => {
    expect(countText(text).sentences).toBe(sentences);
  });

  test.each([
    ["letters", "a".repeat(400_000)],
    ["marks", `${"!".repeat(400_000)}x`],
    ["brackets", `x.${")".repeat(400_000)}x`],
  ])("takes no longer for one word of 400,000 %s than for a text", (_, word) => {
    expect(countText(word)).toMatchObject({ words: 1, sentences: 1 });
  });

  test.each([
    ["make", 1],
    ["table", 2],
    ["tables", 2],
    ["baked", 1],
    ["wanted", 2],
    ["likes", 1],
    ["boxes", 2],
    ["nation", 2],
    ["science", 2],
    ["idea", 3],
    ["creative", 3],
    ["being", 2],
    ["university", 5],
    ["don't", 1],
    ["well-known", 2],
    ["über", 2],
    ["42", 1],
  ])("%s has %i syllables", (word, syllables) => {
    expect(syllablesOf(word)).toBe(syllables);
  });
});

describe("the grades", () => {
  const counts = { words: 100, sentences: 5, letters: 450, syllables: 150 };

  test("follow the published formulas", () => {
    // 0.0588 · 450 − 0.296 · 5 − 15.8 and 0.39 · 20 + 11.8 · 1.5 − 15.59
    expect(colemanLiauGrade(counts)).toBeCloseTo(9.18, 10);
    expect(fleschKincaidGrade(counts)).toBeCloseTo(9.91, 10);
  });

  test("are none of a text without words", () => {
    expect(colemanLiauGrade(countText("…"))).toBeUndefined();
    expect(fleschKincaidGrade(countText("…"))).toBeUndefined();
  });

  test("rise with harder words", () => {
    const child = countText("The dog ran. The cat ran too. They had fun.");
    const expert = countText("Heterogeneous catalysis necessitates comprehensive thermodynamic characterisation.");
    expect(colemanLiauGrade(child)).toBeLessThan(colemanLiauGrade(expert) ?? 0);
    expect(fleschKincaidGrade(child)).toBeLessThan(fleschKincaidGrade(expert) ?? 0);
  });
});
