import { execFile } from "node:child_process";
import { join } from "node:path";
import { repository } from "./paths.ts";
import { StackError } from "./stack-error.ts";

/** Keeps Wrangler to itself: no usage statistics, no update check, no log files in the user's home. */
export const QUIET_WRANGLER = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
};

export const wranglerScript = join(repository, "node_modules", "wrangler", "bin", "wrangler.js");

/**
 * Builds the edge Worker exactly as a deployment would.
 *
 * @param directory where `worker.js` is written
 * @throws StackError with Wrangler's output
 */
export function buildEdge(directory: string): Promise<void> {
  // An empty --env names the top-level configuration; without it Wrangler warns that there are several.
  const args = [wranglerScript, "deploy", "--dry-run", "--env", "", "--outdir", directory];
  const options = { cwd: repository, env: { ...process.env, ...QUIET_WRANGLER } };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve();
      reject(new StackError(`The edge Worker could not be built:\n${stdout}${stderr}`));
    });
  });
}
