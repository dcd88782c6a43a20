import type { TestRunResult } from "vitest/node";

export type Counts = { passed: number; failed: number };

/**
 * Counts tests. A file that could not be loaded or set up, and an error outside every test, count as one failed test each, so that
 * nothing failed can read as `0 failed`.
 */
export function countTests({ testModules, unhandledErrors }: TestRunResult): Counts {
  const counts: Counts = { passed: 0, failed: unhandledErrors.length };
  for (const module of testModules) {
    const states = Array.from(module.children.allTests(), (test) => test.result().state);
    const failed = states.filter((state) => state === "failed").length;
    counts.passed += states.filter((state) => state === "passed").length;
    counts.failed += failed === 0 && !module.ok() ? 1 : failed;
  }
  return counts;
}
