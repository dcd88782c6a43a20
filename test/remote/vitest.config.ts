import { defineConfig } from "vitest/config";

/** Apart from `npm test`: it needs Python, and a package with a build of llama.cpp. */
export default defineConfig({
  test: {
    name: "remote",
    pool: "forks",
    environment: "node",
    include: ["test/remote/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
