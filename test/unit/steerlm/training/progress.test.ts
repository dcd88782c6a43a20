import { describe, expect, test } from "vitest";
import { durationText, trainingProgress } from "../../../../gpu-worker/steerlm/training/progress.ts";

const report = (step: number) => ({
  step,
  steps: 100,
  measures: { nll: 3 },
  running: { nll: 2.5, right_verbosity: 0.75 },
  learningRate: 1e-3,
  gradientNorm: 1,
  tokens: 2600,
  seconds: 20,
});

/** Lines for these steps, each of which took 20 s. */
function linesFor(isTerminal: boolean, steps: readonly number[]): string[] {
  const lines: string[] = [];
  let now = 0;
  const progress = trainingProgress({ isTerminal, write: (line) => lines.push(line), now: () => now });
  for (const step of steps) {
    progress(report(step));
    now += 20_000;
  }
  return lines;
}

describe("progress of training", () => {
  test("is a line for each step on a terminal: running means, speed and what is left", () => {
    const lines = linesFor(true, [1, 2, 100]);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toBe("step 1/100  nll 2.500  right_verbosity 0.750  130 tok/s  33 min left");
    expect(lines[2]).toBe("step 100/100  nll 2.500  right_verbosity 0.750  130 tok/s");
  });

  test("is a line in half a minute in a log, and one at the end", () => {
    expect(linesFor(false, [1, 2, 3, 4, 100]).map((line) => line.split("  ")[0])).toEqual([
      "step 1/100",
      "step 3/100",
      "step 100/100",
    ]);
  });

  test.each([
    [4, "4 s"],
    [99, "99 s"],
    [150, "3 min"],
    [3600, "1 h 00 min"],
    [7500, "2 h 05 min"],
  ])("says %i seconds as a person does: %s", (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });
});
