import { defineConfig } from "vitest/config";

const node = { pool: "forks", environment: "node" } as const;

/** Runs of the whole product: two at once would fight for the processor, and loading the model takes a while. */
const whole = { ...node, fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    // The edge writes a line for every request: of interest where a test fails.
    silent: "passed-only",
    projects: [
      { test: { ...node, name: "unit", include: ["test/unit/**/*.test.ts"] } },
      { test: { ...node, name: "worker", include: ["test/worker/**/*.test.ts"], testTimeout: 30_000 } },
      "test/edge/vitest.config.ts",
      { test: { ...whole, name: "e2e", include: ["test/e2e/**/*.test.ts"] } },
      { test: { ...whole, name: "browser", include: ["test/browser/**/*.test.ts"] } },
    ],
  },
});
