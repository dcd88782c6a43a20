import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { StackError } from "../stack/stack-error.ts";

/**
 * Runs npm, away from this project's node_modules.
 *
 * @returns what it printed
 * @throws StackError with what it said
 */
export function runNpm(args: string[], wanted: string, cwd = tmpdir()): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd, maxBuffer: 1 << 26, shell: process.platform === "win32" };
    execFile("npm", args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      reject(new StackError(`${wanted} needs npm and its registry; npm ${args[0]} failed:\n${stdout}${stderr}`));
    });
  });
}
