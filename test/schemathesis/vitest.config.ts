import { defineConfig } from "vitest/config";

/** Apart from `npm test`: it needs Python, and takes some minutes. */
export default defineConfig({
  test: {
    name: "schemathesis",
    pool: "forks",
    environment: "node",
    fileParallelism: false,
    include: ["test/schemathesis/**/*.test.ts"],
    testTimeout: 1_200_000,
    hookTimeout: 300_000,
  },
});
