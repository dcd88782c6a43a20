import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { StackError } from "../stack/stack-error.ts";

/** What package managers and Chrome's own installer call it, best first. */
const COMMANDS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** Where it is when it is not on the PATH. */
const OTHER_PLACES: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
  ],
  win32: ["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"].map((variable) =>
    join(process.env[variable] ?? "", "Google", "Chrome", "Application", "chrome.exe"),
  ),
};

/**
 * The path of a Chromium: `CHROME_PATH`, else an installed one, else one that apt installs now.
 *
 * @throws StackError saying how to get one
 */
export async function ensureChromium(): Promise<string> {
  const chosen = process.env.CHROME_PATH;
  if (chosen !== undefined && chosen !== "") {
    if (isExecutable(chosen)) return chosen;
    throw new StackError(`CHROME_PATH is ${chosen}, which is no program that can be run. Correct or unset it.`);
  }
  const installed = findInstalled();
  if (installed !== null) return installed;

  const reason = await installWithApt();
  const fresh = findInstalled();
  if (fresh !== null) return fresh;
  throw new StackError(
    `The tests need Chromium and none was found; ${reason}. ` +
      "Install Chromium or Google Chrome, or set CHROME_PATH to the program.",
  );
}

function findInstalled(): string | null {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const candidates = COMMANDS.flatMap((command) => folders.map((folder) => join(folder, command)));
  return [...candidates, ...(OTHER_PLACES[process.platform] ?? [])].find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @returns in words, why there may still be no Chromium afterwards */
async function installWithApt(): Promise<string> {
  if ((await run("apt-get", ["--version"])).code !== 0) return "there is no apt-get to install one with";
  const root = process.getuid?.() === 0;
  if (!root && (await run("sudo", ["-n", "true"])).code !== 0) {
    return "apt-get could install one, but needs root or a sudo that asks for no password";
  }
  const sudo = root ? [] : ["sudo", "-n"];
  for (const step of [["update"], ["install", "-y", "--no-install-recommends", "chromium"]]) {
    const [command = "", ...args] = [...sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", ...step];
    const { code, output } = await run(command, args);
    if (code !== 0) return `apt-get ${step.join(" ")} failed:\n${output.trimEnd()}\n`;
  }
  return "apt-get installed the package chromium, but it brings no such program";
}

function run(command: string, args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const collect = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  return new Promise((resolve) => {
    child.on("error", (error) => resolve({ code: null, output: error.message }));
    child.on("close", (code) => resolve({ code, output }));
  });
}
