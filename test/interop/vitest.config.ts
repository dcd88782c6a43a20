import { defineConfig } from "vitest/config";

/** Apart from `npm test`: it needs Python, and some gigabytes of PyTorch and llama.cpp. */
export default defineConfig({
  test: {
    name: "interop",
    pool: "forks",
    environment: "node",
    fileParallelism: false,
    include: ["test/interop/**/*.test.ts"],
    testTimeout: 600_000,
    hookTimeout: 1_200_000,
  },
});
