import { fileURLToPath } from "node:url";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineProject } from "vitest/config";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

// No look-up of the machine's location on the internet.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";

/** The edge in workerd with a real D1 and real Durable Objects; only the inference worker is a stand-in, over real HTTP. */
export default defineProject({
  plugins: [
    cloudflareTest(async ({ inject }) => ({
      wrangler: { configPath: path("../../wrangler.toml") },
      miniflare: {
        bindings: {
          WORKER_URL: inject("workerUrl"),
          WORKER_SECRET: inject("workerSecret"),
          KEY_PEPPER: "pepper of the tests",
          ADMIN_TOKEN: "admin-token-of-the-tests-long-enough",
          MIGRATIONS: await readD1Migrations(path("../../schema/database/migrations")),
        },
      },
    })),
  ],
  test: {
    name: "edge",
    include: ["**/*.test.ts"],
    globalSetup: [path("./global-setup.ts")],
    setupFiles: [path("./setup.ts")],
    // Room for a machine that is busy with something else; nothing here waits for time to pass.
    testTimeout: 30_000,
    expect: { poll: { timeout: 10_000 } },
  },
});
