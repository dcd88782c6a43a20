import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cacheDirectory } from "../../../gpu-worker/model/cache.ts";
import { ensureInstalled } from "../../../scripts/bootstrap/dependencies.mjs";

const run = promisify(execFile);

let nodePeers: Promise<void> | null = null;

/** Installs what test/bench/package.json locks, or fails, once. @throws Error with the reason */
export function installNodePeers(): Promise<void> {
  nodePeers ??= ensureInstalled(fileURLToPath(new URL("..", import.meta.url)));
  return nodePeers;
}

/**
 * Installs the pinned packages of `<name>.txt` into an environment of their own, kept between runs.
 *
 * @param folder where that file is
 * @returns the environment's Python
 * @throws Error with the reason: no Python, too old a one, no wheel for this machine, no connection
 */
export async function installPythonPeer(
  name: string,
  folder: URL = new URL("./python/", import.meta.url),
): Promise<string> {
  const requirements = fileURLToPath(new URL(`${name}.txt`, folder));
  const pins = readFileSync(requirements);
  const digest = createHash("sha256").update(pins).digest("hex").slice(0, 16);
  const directory = join(cacheDirectory(), "bench", `${name}-${digest}`);
  const [bin, executable] = process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"];
  const python = join(directory, bin, executable);
  // Written last, so an installation that broke off is begun again.
  const complete = join(directory, "complete");
  if (exists(complete)) return python;
  mkdirSync(directory, { recursive: true });
  await succeed(await findPython(), ["-m", "venv", "--clear", directory]);
  const options = ["--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:"];
  await succeed(python, ["-m", "pip", "install", ...options, "--requirement", requirements]);
  writeFileSync(complete, pins);
  return python;
}

function exists(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

async function findPython(): Promise<string> {
  for (const python of ["python3", "python"]) {
    const works = await run(python, ["-c", "import venv, ensurepip"]).then(
      () => true,
      () => false,
    );
    if (works) return python;
  }
  throw new Error("there is no Python 3 with venv and pip");
}

async function succeed(command: string, args: string[]): Promise<void> {
  try {
    await run(command, args, { maxBuffer: 1 << 26 });
  } catch (error) {
    const stderr = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    throw new Error(stderr.split("\n").slice(-3).join(" ") || (error instanceof Error ? error.message : String(error)));
  }
}
