import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { BootstrapError } from "./error.mjs";
import { withLock } from "./lock.mjs";

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, os?: string | string[], cpu?: string | string[] } &
 *   Record<string, unknown>} LockedPackage
 * @typedef {Record<string, LockedPackage>} LockedPackages
 */

/**
 * Installs the locked dependencies unless they are there.
 *
 * @param {string} root
 */
export async function ensureInstalled(root) {
  if (isInstalled(root)) return;
  await withLock(join(root, ".attune"), "install.lock", async () => {
    // Whoever held the lock before may have done it.
    if (!isInstalled(root)) await install(root);
  });
}

/**
 * Compares npm's record of what it installed, which it writes last, with the lockfile: everything required is there, and nothing
 * that is there has another version or was made for another platform.
 *
 * @param {string} root
 */
function isInstalled(root) {
  const locked = readPackages(join(root, "package-lock.json"));
  if (locked === null)
    throw new BootstrapError(`package-lock.json is missing in ${root}; get a complete copy of the repository.`);
  const installed = readPackages(join(root, "node_modules", ".package-lock.json"));
  if (installed === null || !isInStep(root, locked)) return false;

  const complete = Object.entries(locked).every(([path, entry]) => path === "" || entry.optional || path in installed);
  return (
    complete && Object.entries(installed).every(([path, entry]) => isSame(entry, locked[path]) && fitsPlatform(entry))
  );
}

/**
 * Whether the lockfile was made from this package.json; where it was not, `npm ci` explains the difference.
 *
 * @param {string} root
 * @param {LockedPackages} locked
 */
function isInStep(root, locked) {
  const declared = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return ["dependencies", "devDependencies", "optionalDependencies"].every((field) =>
    isDeepStrictEqual(declared[field] ?? {}, locked[""]?.[field] ?? {}),
  );
}

/**
 * @param {LockedPackage} entry
 * @param {LockedPackage | undefined} other
 */
function isSame(entry, other) {
  return other !== undefined && entry.version === other.version && entry.integrity === other.integrity;
}

/** @param {LockedPackage} entry */
function fitsPlatform({ os, cpu }) {
  return allows(os, process.platform) && allows(cpu, process.arch);
}

/**
 * @param {string | string[] | undefined} list names, or names to avoid as `!name`
 * @param {string} name
 */
function allows(list, name) {
  const names = [list ?? []].flat();
  if (names.includes(`!${name}`)) return false;
  return names.includes(name) || names.every((entry) => entry.startsWith("!"));
}

/**
 * @param {string} file
 * @returns {LockedPackages | null}
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** @param {string} root */
async function install(root) {
  console.error("Installing the locked dependencies (npm ci) …");
  const code = await run(root, [
    "ci",
    // Whatever the user's npm is set to leave out, NODE_ENV=production included.
    "--include=dev",
    "--include=optional",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    // Some packages ask for a newer Node than the one that installs them; they run on the project's own.
    "--loglevel=error",
  ]);
  if (code === 0) return;
  throw new BootstrapError(
    `The dependencies could not be installed: npm ci ended with exit code ${code}; its own message is above. ` +
      "Check the connection to the npm registry (npm ping) and the free disk space, then run the same command again.",
  );
}

/**
 * Runs npm: the one that started this, else the one on the PATH.
 *
 * @param {string} root
 * @param {string[]} args
 * @returns {Promise<number | string>} exit code, or the signal that ended it
 */
function run(root, args) {
  const { npm_execpath: npmScript, npm_node_execpath: npmNode } = process.env;
  const fromNpm = npmScript !== undefined && basename(npmScript) === "npm-cli.js";
  const command = fromNpm ? (npmNode ?? process.execPath) : "npm";
  const child = spawn(command, fromNpm ? [npmScript, ...args] : args, {
    cwd: root,
    // stdout carries the output of the script that runs next.
    stdio: ["ignore", process.stderr, process.stderr],
    // On Windows npm is a .cmd file, which only a shell can start.
    shell: !fromNpm && process.platform === "win32",
    // The CUDA libraries that onnxruntime-node would download are hundreds of megabytes nobody here uses.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
  });
  process.once("exit", () => child.kill());
  return new Promise((resolve, reject) => {
    child.on("error", (error) =>
      reject(new BootstrapError(`npm could not be started (${error.message}). Install npm 10 or newer and try again.`)),
    );
    child.on("exit", (code, signal) => resolve(code ?? signal ?? 1));
  });
}
