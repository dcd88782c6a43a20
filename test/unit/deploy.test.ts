import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { QUIET_WRANGLER, wranglerScript } from "../../scripts/stack/bundle.ts";
import { repository } from "../../scripts/stack/paths.ts";

describe("a deployment of the edge", () => {
  const out = mkdtempSync(join(tmpdir(), "attune-deploy-"));
  afterAll(() => rmSync(out, { recursive: true }));

  it.each(["", "production"])(
    "builds for the environment %j, with its database and limiter",
    async (environment) => {
      const directory = join(out, `edge-${environment}`);
      const args = [wranglerScript, "deploy", "--dry-run", "--env", environment, "--outdir", directory];
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
        cwd: repository,
        env: { ...process.env, ...QUIET_WRANGLER },
      });
      expect(stdout).toMatch(/env\.DB \(attune\)\s+D1 Database/);
      expect(stdout).toMatch(/env\.PROJECT_LIMITER \(ProjectLimiter\)\s+Durable Object/);
      expect(stdout).toMatch(/env\.KEPT_GENERATION \(KeptGeneration\)\s+Durable Object/);
      expect(stdout).toMatch(/env\.WORKER_URL/);
      expect(stdout).toMatch(/Read [1-9]\d* files? from the assets directory/);
      expect(stderr).toBe("");
      expect(existsSync(join(directory, "worker.js"))).toBe(true);
    },
    30_000,
  );
});
