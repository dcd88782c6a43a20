import { existsSync } from "node:fs";
import { join } from "node:path";
import { BootstrapError } from "./error.mjs";

/** The first whole line of Node that has what the scripts use: types stripped without a flag, `await using`, node:sqlite. */
const OLDEST = 24;

/**
 * The Node that runs the project's TypeScript: the one installed with the dependencies, or, on platforms it is not published
 * for, the current one if it is new enough.
 *
 * @param {string} root
 * @returns {string}
 */
export function findNode(root) {
  const own = packagedNodes(root).find((path) => existsSync(path));
  if (own !== undefined) return own;
  if (Number.parseInt(process.versions.node, 10) >= OLDEST) return process.execPath;
  throw new BootstrapError(
    `There is no packaged Node for ${process.platform}-${process.arch}, and this one (${process.version}) is too old. ` +
      "Install Node 24 (https://nodejs.org) and run the same command again.",
  );
}

/**
 * Looked for in the packages themselves: npm 10 takes node_modules/.bin/node away again when it leaves out those for other
 * platforms.
 *
 * @param {string} root
 */
function packagedNodes(root) {
  const windows = process.platform === "win32";
  const platform = `${windows ? "win" : process.platform}-${process.arch}`;
  const program = windows ? "node.exe" : "node";
  return [`node-${platform}`, `node-bin-${platform}`].map((name) => join(root, "node_modules", name, "bin", program));
}
