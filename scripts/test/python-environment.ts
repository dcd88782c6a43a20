import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "../../gpu-worker/model/cache.ts";
import { StackError } from "../stack/stack-error.ts";

/**
 * The Python of an environment that holds exactly what pip is told to install, made in the cache directory where there is none yet.
 *
 * @param name what the directory is called; another list of packages is another environment
 * @throws StackError saying what is missing
 */
export async function ensurePython(name: string, install: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(install)).digest("hex").slice(0, 12);
  const directory = join(cacheDirectory(), "python", `${name}-${hash}`);
  const python = join(directory, ...(process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"]));
  // Written last: an environment that was left half made is made again.
  const complete = join(directory, "complete");
  if (existsSync(complete)) return python;
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const base = process.platform === "win32" ? "python" : "python3";
  await run(
    base,
    ["-m", "venv", directory],
    "Install Python 3.10 or newer with its venv module (Debian: python3-venv).",
  );
  const options = ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"];
  const advice = "Check that pip can reach its package index and that the disk has room.";
  await run(python, ["-m", "pip", "install", ...options, ...install], advice);
  await writeFile(complete, "");
  return python;
}

function run(command: string, args: string[], advice: string): Promise<void> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const collect = (piece: Buffer) => {
    output = (output + piece.toString()).slice(-2000);
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  return new Promise((resolve, reject) => {
    const fail = (reason: string) =>
      reject(new StackError(`${[command, ...args].join(" ")} failed: ${reason.trim()}\n${advice}`));
    child.on("error", (error) => fail(error.message));
    child.on("close", (code) => (code === 0 ? resolve() : fail(output)));
  });
}
