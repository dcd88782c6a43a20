import { execFile } from "node:child_process";
import { join } from "node:path";
import { styleText } from "node:util";
import { repository } from "../stack/paths.ts";

export type Outcome = { ok: boolean; output: string };
export type Check = { name: string; run: () => Promise<Outcome> };

/** Runs a tool from node_modules at the root of the repository. */
export function tool(name: string, args: string[]): Promise<Outcome> {
  const command = join(repository, "node_modules", ".bin", name);
  const options = { cwd: repository, maxBuffer: 1 << 26, shell: process.platform === "win32" };
  return new Promise((resolve) => {
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      const reason = error !== null && stdout + stderr === "" ? error.message : "";
      resolve({ ok: error === null, output: stdout + stderr + reason });
    });
    // A tool that would ask a question must fail instead.
    child.stdin?.end();
  });
}

/** Runs all checks, one after the other, showing what the failed ones say. */
export async function runChecks(checks: Check[]): Promise<boolean> {
  const failed: string[] = [];
  for (const { name, run } of checks) {
    const start = performance.now();
    const { ok, output } = await run();
    const seconds = styleText("dim", `${((performance.now() - start) / 1000).toFixed(1)} s`);
    console.log(`${ok ? styleText("green", "✔") : styleText("red", "✖")} ${name} ${seconds}`);
    if (ok) continue;
    failed.push(name);
    console.log(output.trimEnd());
  }
  const summary =
    failed.length === 0
      ? `${checks.length} checks passed`
      : `${failed.length} of ${checks.length} checks failed: ${failed.join("; ")}`;
  console.log(`\n${summary}`);
  return failed.length === 0;
}
