import { describe, expect, test } from "vitest";
import { analyse } from "../../../../gpu-worker/steerlm/evaluate/analyse.ts";
import { chartsOf, render } from "../../../../gpu-worker/steerlm/evaluate/charts.ts";
import { reportText } from "../../../../gpu-worker/steerlm/evaluate/report-text.ts";
import { OBEDIENT_WORDS, plantedAnswers, plantedEvaluation, textOf } from "./planted-evaluation.ts";

const evaluation = plantedEvaluation({ baseline: "words", combinations: [{ verbosity: 0, complexity: 4 }] });
const report = analyse(
  evaluation,
  plantedAnswers(evaluation, ({ levels, system }) =>
    textOf(system === "adapter" ? (OBEDIENT_WORDS[levels.verbosity ?? 2] ?? 0) : 50, levels.complexity),
  ),
  new Map(),
);
const charts = chartsOf(report);
const text = reportText(report, charts);

describe("report.md", () => {
  test("sets what obeyed beside what did not, with intervals", () => {
    expect(text).toContain("| verbosity | adapter | 1 | words | 1.00 [1.00, 1.00] |");
    expect(text).toContain("| verbosity | plain model, in words | 1 | words | 0.00 [0.00, 0.00] |");
    expect(text).toContain("| complexity (verbosity 2) | adapter | 2 | coleman_liau | 1.00");
  });

  test("shows the leakage matrix, the cost by level and combinations", () => {
    expect(text).toContain("adapter, strength 1:\n\n| asked ＼ measured | complexity | verbosity |");
    expect(text).toContain("| verbosity | 0.00 | **+1.00** |");
    expect(text).toContain("| verbosity | 1 | 0 | −42.0 [−42.0, −42.0] | – | 0.000 [0.000, 0.000] | – |");
    expect(text).toMatch(/complexity 4, verbosity 0 \| 1 \| verbosity \| 8\.0/);
  });

  test("has every table's rows as wide as its head", () => {
    for (const table of text.split("\n\n").filter((part) => part.startsWith("|"))) {
      const widths = new Set(table.split("\n").map((line) => line.split("|").length));
      expect(widths.size, table).toBe(1);
    }
  });

  test("shows its charts", () => {
    for (const { file } of charts) expect(text).toContain(`](${file})`);
  });
});

describe("the charts", { timeout: 30_000 }, () => {
  test("are SVG with a line for each system and strength, and a cell for each pair of attributes", async () => {
    expect(charts.map(({ file }) => file)).toEqual(["verbosity.svg", "complexity.svg", "leakage.svg"]);
    const [verbosity = "", , leakage = ""] = await Promise.all(charts.map(render));
    expect(verbosity).toMatch(/^<svg[^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    for (const label of [
      "adapter, strength 1",
      "adapter, strength 2",
      "plain model, in words",
      "level asked for",
      "words",
    ]) {
      expect(verbosity).toContain(`>${label}<`);
    }
    // Three systems and strengths, two attributes asked for and measured.
    expect(leakage.match(/>[+−]?\d\.\d\d</g)).toHaveLength(12);
  });
});
